"""Nodes of a scene: found, made once, removed with what only they use."""

from __future__ import annotations

from typing import Any

RESULT_ATTRIBUTE = "M3LungScreen.result"


def nodes_of_class(scene: Any, kind: str) -> list[Any]:
    """The nodes of class `kind`, in the scene's order."""
    found = scene.GetNodesByClass(kind)
    found.UnRegister(None)  # the caller of GetNodesByClass owns the collection
    return [found.GetItemAsObject(i) for i in range(found.GetNumberOfItems())]


def reusable(scene: Any, node: Any, kind: str, name: str) -> Any:
    """`node` if there is one, otherwise a new node of class `kind`."""
    if node is not None:
        return node
    return scene.AddNewNodeByClass(kind, scene.GenerateUniqueName(name))


def remove_with_attendants(scene: Any, nodes: list[Any]) -> None:
    """Remove `nodes` with their display and storage nodes and their subject hierarchy items."""
    import slicer

    tree = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    for node in nodes:
        item = tree.GetItemByDataNode(node)
        if item != tree.GetInvalidItemID():
            tree.RemoveItem(item, False, False)
        for attendant in _attendants(node):
            scene.RemoveNode(attendant)
        scene.RemoveNode(node)


def _attendants(node: Any) -> list[Any]:
    found = []
    if node.IsA("vtkMRMLDisplayableNode"):
        # A legend before the display node that it stands on.
        numbers = reversed(range(node.GetNumberOfDisplayNodes()))
        found += [node.GetNthDisplayNode(i) for i in numbers]
    if node.IsA("vtkMRMLStorableNode"):
        found += [node.GetNthStorageNode(i) for i in range(node.GetNumberOfStorageNodes())]
    return [each for each in found if each is not None]
