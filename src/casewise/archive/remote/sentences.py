"""What object storage refuses, said in one sentence that says how to mend it. No credentials are in any of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from casewise.archive.remote.address import Address
from casewise.errors import ArchiveError, CasewiseError, UnreadableImageError, UsageError

MISSING = "Object storage (s3://) needs more packages: run `pip install 'casewise[s3]'`."
_CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
_OF_THIS_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_REFUSED = {"SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed"}


class RemoteError(ArchiveError):
    """Object storage cannot be used at all now: what is asked next will fail in the same way."""


class ObjectError(UnreadableImageError):
    """One object cannot be had: it is not there, may not be read, or came damaged."""


class ObjectMissingError(ObjectError):
    """There is no such object."""


@contextmanager
def translated(address: Address, action: str) -> Iterator[None]:
    """Turn what goes wrong with an object into a RemoteError or an ObjectError. action : read, written or listed."""
    try:
        import aiohttp
        from botocore import exceptions as known
    except ModuleNotFoundError as error:
        raise UsageError(MISSING) from error
    no_credentials = (
        known.NoCredentialsError,
        known.PartialCredentialsError,
        known.ProfileNotFound,
        known.CredentialRetrievalError,
    )
    lost = (known.ConnectionError, known.HTTPClientError, known.IncompleteReadError, aiohttp.ClientError, TimeoutError)
    try:
        yield
    except CasewiseError:
        raise
    except no_credentials as error:
        raise RemoteError(f"No credentials for {address} were found; {_CREDENTIALS}.") from error
    except known.FlexibleChecksumError as error:
        raise ObjectError(damaged(address)) from error
    except lost as error:
        msg = f"The connection to {endpoint()} was lost while {address} was {action}; see that the storage runs, and try again."
        raise RemoteError(msg) from error
    except (known.BotoCoreError, ValueError) as error:
        raise RemoteError(f"The settings for {endpoint()} cannot be used ({_words(error)}); correct the AWS variables.") from error
    except OSError as error:
        if error.filename is not None or error.errno in _OF_THIS_MACHINE:
            raise
        raise _refused(address, action, error) from error


def damaged(address: Address) -> str:
    return f"{address} came other than the storage says it is (its size or checksum differs); put it there again, or try again."


def endpoint() -> str:
    """The server that is asked, as the environment names it."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "the object storage"


def _refused(address: Address, action: str, error: OSError) -> CasewiseError:
    code = _code(error)
    if code == "NoSuchBucket":
        return RemoteError(f"There is no bucket {address.bucket} at {endpoint()}; correct its name, or make it first.")
    if isinstance(error, FileNotFoundError):
        return ObjectMissingError(f"{address} is not in object storage; put it back, or correct the address.")
    if code in _REFUSED:
        return RemoteError(f"{endpoint()} refuses the credentials; {_CREDENTIALS}.")
    if isinstance(error, PermissionError):
        return ObjectError(f"{address} may not be {action} with these credentials; give them that right, or use others.")
    return RemoteError(f"{endpoint()} refused that {address} is {action} ({_words(error)}); mend that, and try again.")


def _code(error: OSError) -> str:
    response = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _words(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
