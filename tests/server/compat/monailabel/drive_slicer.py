"""Run where slicer-core is installed: 3D Slicer's own reading, naming and saving of what a test gives it, a line of JSON each way.

What the module's window does around this (``MONAILabel.py``) is done here with the same calls, in the same order.
"""

import json
import sys

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

scene = slicer.vtkMRMLScene()
logic = slicer.vtkSlicerSegmentationsModuleLogic()
logic.SetMRMLScene(scene)
state = {}


def matrix(node):
    found = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(found)
    return np.array([[found.GetElement(row, column) for column in range(4)] for row in range(4)])


def voxels(image):
    """(i, j, k)"""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1]).transpose()


def load(path, labels=False):
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode" if labels else "vtkMRMLScalarVolumeNode")
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(path)
    storage.SetSingleFile(1)
    assert storage.ReadData(node), path
    return node


def save(node, path):
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(path)
    assert storage.WriteData(node), path


def open_volume(path):
    """As after "Next Sample"."""
    state["volume"] = node = load(path)
    state["segments"] = segments = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segments.SetReferenceImageGeometryParameterFromVolumeNode(node)
    return {"shape": list(node.GetImageData().GetDimensions()), "affine": matrix(node).tolist()}


def value_at(ras):
    """The value of the voxel at a place in the patient, and its index."""
    index = np.rint(np.linalg.solve(matrix(state["volume"]), [*ras, 1.0])[:3]).astype(int)
    return {"value": int(voxels(state["volume"].GetImageData())[tuple(index)]), "index": index.tolist()}


def add_segments(names):
    for name in names:
        state["segments"].GetSegmentation().AddEmptySegment(name, name)


def draw(name, indices):
    """Paint voxels of the volume, by their indices, into a segment, beside what was painted there before."""
    image = slicer.vtkOrientedImageData()
    image.SetDimensions(state["volume"].GetImageData().GetDimensions())
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    to_ras = vtk.vtkMatrix4x4()
    state["volume"].GetIJKToRASMatrix(to_ras)
    image.SetGeometryFromImageToWorldMatrix(to_ras)
    painted = voxels(image)
    painted[...] = 0
    drawn = state.setdefault("drawn", {}).setdefault(name, [])
    drawn += indices
    painted[tuple(np.array(drawn).T)] = 1
    replace = slicer.vtkSlicerSegmentationsModuleLogic.MODE_REPLACE
    assert slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(image, state["segments"], name, replace)


def export(path, leave_out=()):
    """Save the segments as one label map, as the module does; returns ``label_info`` as the module makes it."""
    segmentation = state["segments"].GetSegmentation()
    wanted, info = vtk.vtkStringArray(), []
    for place in range(segmentation.GetNumberOfSegments()):
        identity = segmentation.GetNthSegmentID(place)
        name = segmentation.GetSegment(identity).GetName()
        if name not in leave_out:
            wanted.InsertNextValue(identity)
            info.append({"name": name, "idx": place + 1, "id": place + 1})
    node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert logic.ExportSegmentsToLabelmapNode(state["segments"], wanted, node, state["volume"])
    save(node, path)
    return info


def save_segmentation(path):
    """Save all segments with their names, as the module does where they may overlap."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(path)
    assert storage.WriteData(state["segments"]), path


def take(path, names):
    """Take a mask that came back into the segments of these names; where each then is: its voxels and its centre in RAS."""
    node = load(path, labels=True)
    wanted = vtk.vtkStringArray()
    for name in names:
        wanted.InsertNextValue(name)
    assert logic.ImportLabelmapToSegmentationNode(node, state["segments"], wanted)
    return {name: where(name) for name in names}


def where(name):
    image = slicer.vtkOrientedImageData()
    state["segments"].GetBinaryLabelmapRepresentation(name, image)
    to_ras = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(to_ras)
    affine = np.array([[to_ras.GetElement(row, column) for column in range(4)] for row in range(4)])
    drawn = np.argwhere(voxels(image) > 0) + np.array(image.GetExtent()[::2]) if image.GetPointData().GetScalars() else []
    if not len(drawn):
        return {"voxels": 0}
    return {"voxels": len(drawn), "centre": (affine[:3, :3] @ drawn.mean(axis=0) + affine[:3, 3]).tolist()}


def main():
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer = {"result": globals()[name](*arguments)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print("\n" + json.dumps(answer), flush=True)


main()
