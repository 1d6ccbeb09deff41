"""A file from the network, exactly the one that was asked for, or none."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scaling.errors import RecordError, TrainError


class DownloadFailed(RecordError):
    """A file that did not come from the network as promised."""

    url: str
    reason: str

    def __str__(self) -> str:
        return f"{self.url} was not fetched: {self.reason}. Nothing was kept of it; try again, or get it by hand."


class DiskFull(TrainError):
    """A file that the disk, a quota or a size limit had no room for."""

    what: str
    path: str | Path
    reason: str
    free: int

    def __str__(self) -> str:
        return (
            f"{self.what} had to be written to {self.path}, but there was no room ({self.reason}; "
            f"{self.free / 1e9:.3g} GB free). What was there before is whole. Free some space and type the same "
            "command again; it goes on from there."
        )


_PIECE = 1 << 16


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a host, and no others: the hash would catch a wrong file, but not who was asked."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        asked, offered = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if (offered.scheme, offered.netloc) != (asked.scheme, asked.netloc):
            raise DownloadFailed(req.full_url, f"it redirects to another host, {offered.netloc}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def download(
    url: str,
    path: Path,
    *,
    sha256: str,
    size: int,
    timeout: float = 30.0,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Put the file at a URL where `path` says, if it is the file that was promised.

    Written beside its place and moved there when the hash is right, so that no half file is ever found.

    Args:
        url: http or https.
        path: where to; its folder is made.
        sha256: hexadecimal.
        size: in bytes; more than this is not read.
        timeout: seconds without a byte before giving up.
        advance: called with the number of bytes of each piece, for a progress bar.

    Raises:
        DownloadFailed: no such file, a cut connection, a redirect to another host, a wrong hash, a full disk.
    """
    scratch = path.with_name(path.name + ".part")
    digest, received = hashlib.sha256(), 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opener = urllib.request.build_opener(_SameHost)
        with opener.open(url, timeout=timeout) as answer, scratch.open("wb") as file:
            while received <= size and (piece := answer.read(_PIECE)):
                file.write(piece)
                digest.update(piece)
                received += len(piece)
                if advance:
                    advance(len(piece))
        if received != size:
            raise DownloadFailed(url, f"{received:,} bytes or more came, of {size:,}")
        if digest.hexdigest() != sha256:
            raise DownloadFailed(url, f"its SHA-256 is {digest.hexdigest()[:12]}…, not {sha256[:12]}…")
        scratch.replace(path)
    except urllib.error.HTTPError as reason:
        with reason:
            raise DownloadFailed(url, f"the server answered {reason.code} {reason.reason}") from None
    except (OSError, http.client.HTTPException) as reason:
        words = getattr(reason, "reason", None) or getattr(reason, "strerror", None) or reason
        raise DownloadFailed(url, str(words)) from reason
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink(missing_ok=True)
