from hypothesis import given
from hypothesis import strategies as st

from M3LungScreenLib.schedule import chunks, first_look, nearest_screened, remaining

slices = st.sets(st.integers(0, 600), min_size=1, max_size=500).map(sorted)


@given(slices)
def test_a_first_look_and_the_rest_are_every_slice_once(informative):
    first = first_look(informative)
    assert sorted(first + remaining(informative, first)) == informative


@given(slices, st.integers(2, 40))
def test_a_first_look_spans_the_lungs_in_at_most_its_count(informative, count):
    first = first_look(informative, count)
    assert len(first) == len(set(first)) == min(count, len(informative))
    assert (first[0], first[-1]) == (informative[0], informative[-1])


@given(slices, st.integers(1, 9))
def test_batches_join_to_the_whole(informative, size):
    cut = chunks(informative, size)
    assert [k for batch in cut for k in batch] == informative
    assert all(1 <= len(batch) <= size for batch in cut)


def test_the_nearest_screened_slice_is_the_lower_of_two():
    assert nearest_screened(5, [9, 3, 7]) == 3
    assert nearest_screened(6, [9, 3, 7]) == 7
