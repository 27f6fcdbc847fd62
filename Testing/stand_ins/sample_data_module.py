"""Slicer's module SampleData, as much as a source needs to be offered, found and loaded."""

from pathlib import Path
from typing import Any

import slicer


class SampleDataSource:
    """One file a source; equal sources say the same of themselves."""

    def __init__(
        self,
        sampleName: str,  # noqa: N803
        uris: str,
        fileNames: str,  # noqa: N803
        nodeNames: str,  # noqa: N803
        checksums: str | None = None,
        loadFiles: bool | None = None,  # noqa: N803
        customDownloader: Any = None,  # noqa: N803
        thumbnailFileName: str | None = None,  # noqa: N803
        loadFileType: str | None = None,  # noqa: N803
    ) -> None:
        self.sampleName, self.customDownloader = sampleName, customDownloader
        self.thumbnailFileName, self.loadFileType = thumbnailFileName, [loadFileType]
        self.uris, self.fileNames, self.nodeNames = [uris], [fileNames], [nodeNames]
        self.checksums, self.loadFiles = [checksums], [loadFiles]

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __str__(self) -> str:
        return f"{self.sampleName} {self.uris} {self.fileNames} {self.checksums}"


class SampleDataLogic:
    """Sources by category, and files by their address."""

    @staticmethod
    def registerCustomSampleDataSource(category: str, **fields: Any) -> None:  # noqa: N802
        source = SampleDataSource(**fields)
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in sources:
            sources.append(source)


def downloadSample(name: str) -> Any:  # noqa: N802
    """The node of a sample; its `customDownloader` is not asked, as in Slicer."""
    sources = [each for group in slicer.modules.sampleDataSources.values() for each in group]
    source = next(each for each in sources if each.sampleName == name)
    folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    (uri,), (file_name,) = source.uris, source.fileNames
    path = Path(folder) / file_name
    if not path.is_file():
        raise ValueError(f"{uri} would be downloaded")
    return slicer.util.loadVolume(str(path), {"name": source.nodeNames[0]})
