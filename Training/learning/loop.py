"""The training loop of every level."""

from tqdm import tqdm

from Training.learning.level import Level, Share
from Training.learning.run import Run


def fit(run: Run, level: Level, resume: bool) -> Run:
    """Train to the end; the weights of the best epoch are saved in best.pt.

    UsageError if the folder holds another run that is not to be resumed.
    """
    if not (resume and run.resume()):
        run.check_new()
    run.forget_later_lines()
    steps, fabric = level.steps_per_epoch, run.fabric
    share = Share(fabric.global_rank, fabric.world_size)
    quiet = not fabric.is_global_zero
    for epoch in range(run.step // steps, level.schedule.epochs):
        first = run.step - epoch * steps
        progress = tqdm(
            level.batches(epoch, first, share),
            desc=f"epoch {epoch + 1} of {level.schedule.epochs}",
            initial=first,
            total=steps,
            mininterval=10,
            disable=quiet,
        )
        for batch in progress:
            run.log(**run.take_step(level, batch))
            # After a checkpoint at the end of an epoch, a resume would skip the validation.
            if run.step % level.checkpoint_every_steps == 0 and run.step % steps:
                run.save()
        # One process validates for all.
        score, metrics = level.validate() if fabric.is_global_zero else (0.0, {})
        score, metrics = fabric.broadcast((score, metrics))
        run.log(**metrics)
        run.keep_if_best(score, metrics)
        run.save()
    return run
