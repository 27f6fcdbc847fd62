"""Finds, adds and removes nodes of a scene."""

from __future__ import annotations

from typing import Any

RESULT_ATTRIBUTE = "M3LungScreen.result"


def nodes_of_class(scene: Any, kind: str) -> list[Any]:
    """The nodes of class `kind`, in the scene's order."""
    found = scene.GetNodesByClass(kind)
    found.UnRegister(None)  # the caller of GetNodesByClass owns the collection
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]


def existing_or_new(scene: Any, node: Any, kind: str, name: str) -> Any:
    """`node` if there is one, otherwise a new node of class `kind`."""
    if node is not None:
        return node
    return scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))


def new_unsaved(scene: Any, kind: str, name: str) -> Any:
    """A new node for the views only: not saved, and not listed in Slicer.

    One a scene of each kind and name.
    """
    node = scene.CreateNodeByClass(kind)
    node.UnRegister(None)  # the scene holds it from here on
    node.SetName(name)
    # A singleton has a fixed ID: otherwise a saved view that shows it could, when opened, show
    # another volume that got the same ID.
    node.SetSingletonTag(name.replace(" ", ""))
    node.SetSaveWithScene(False)
    # Before it is in the scene, where the subject hierarchy would make an item for it.
    node.SetHideFromEditors(True)
    return scene.AddNode(node)


def remove_nodes(scene: Any, nodes: list[Any]) -> None:
    """Remove `nodes` with their display nodes, storage nodes and subject hierarchy items."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for node in nodes:
        item = tree.GetItemByDataNode(node)
        if item != tree.GetInvalidItemID():
            tree.RemoveItem(item, False, False)
        for each in (*_display_and_storage_nodes(node), node):
            # Slicer's own modules remove some display nodes together with what they display.
            if scene.IsNodePresent(each):
                scene.RemoveNode(each)


def _display_and_storage_nodes(node: Any) -> list[Any]:
    found = []
    if node.IsA("vtkMRMLDisplayableNode"):
        # A color legend before the display node that it refers to.
        numbers = reversed(range(node.GetNumberOfDisplayNodes()))
        found += [node.GetNthDisplayNode(i) for i in numbers]
    if node.IsA("vtkMRMLStorableNode"):
        found += [node.GetNthStorageNode(i) for i in range(node.GetNumberOfStorageNodes())]
    return [each for each in found if each is not None]
