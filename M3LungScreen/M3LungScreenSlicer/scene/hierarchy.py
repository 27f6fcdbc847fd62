"""The subject hierarchy: a folder of results under the study of the CT."""

from __future__ import annotations

from typing import Any

FOLDER = "M3LungScreen"


def add_to_hierarchy(scene: Any, volume: Any, nodes: list[Any]) -> int:
    """Put `nodes` into a folder next to `volume`, in its study; returns the folder's item.

    Nodes that are hidden from editors stay out of the tree.
    """
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    place = tree.GetItemParent(_item(tree, volume, tree.GetSceneItemID()))
    folder = _folder_of(tree, nodes[-1]) or tree.CreateFolderItem(
        place, f"{volume.GetName()} {FOLDER}"
    )
    tree.SetItemAttribute(folder, FOLDER, "folder")
    tree.SetItemParent(folder, place)
    for node in (each for each in nodes if not each.GetHideFromEditors()):
        tree.SetItemParent(_item(tree, node, folder), folder)
    return folder


def remove_folder(scene: Any, node: Any) -> None:
    """Remove the folder of results that contains `node`; its nodes are about to be removed."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    folder = _folder_of(tree, node)
    if folder:
        tree.RemoveItem(folder, False, False)


def _item(tree: Any, node: Any, parent: int) -> int:
    """The item of `node`; the Slicer application has created it already."""
    item = tree.GetItemByDataNode(node)
    return item if item != tree.GetInvalidItemID() else tree.CreateItem(parent, node)


def _folder_of(tree: Any, node: Any) -> int:
    """The item of the result folder that contains `node`, 0 if there is none."""
    item = tree.GetItemByDataNode(node)
    parent = tree.GetItemParent(item) if item else 0
    return parent if parent and tree.GetItemAttribute(parent, FOLDER) == "folder" else 0
