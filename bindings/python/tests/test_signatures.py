"""Name, version and signature of an index, as a publisher gives them and a receiver demands them."""

from __future__ import annotations

import pathlib

import gosync
import pytest
from conftest import Files

# Encrypted with the password "secret" and less work than minisign's program takes.
SECRET_KEY = (
    "untrusted comment: minisign encrypted secret key\n"
    "RWRTY0IyAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8AgAAAAAAAAAAAAAEAAAAALbYG5ELogTnCyOVXf+PdjNDUyg0ssU4OmETt"
    "Y5lyf/Sx35nwyZd257MUtWxVBkeGcLYOIB8L9z3KcaI8NthxysBiiKclaZa00ZbzDkkawWPjPfTAAmxHC+NmNkRc+WCqevrEhP3ucg4=\n"
)
PUBLIC_KEY = "RWTzupLICwciIHgIx9iHinnpQT1zQ3DxePYyPhGvPqPrKWSyDJWb/YtB"


def test_a_demanded_signature_is_checked_everywhere(files: Files) -> None:
    unsigned = files.publish()
    key = pathlib.Path("key")
    key.write_text(SECRET_KEY)
    signed = gosync.index("new", name="app", version="2.0", sign=key, sign_password="secret")
    signed.save("new.gosync")
    assert signed.signature is not None and signed.signature.startswith("untrusted comment: ")
    assert (unsigned.name, unsigned.version, unsigned.signature) == (None, None, None)

    for index in (unsigned, bytes(unsigned)):
        with pytest.raises(gosync.MismatchError, match="not signed"):
            gosync.info(index, public_key=PUBLIC_KEY)
        with pytest.raises(gosync.MismatchError):
            gosync.plan("target", index=index, source="new", public_key=PUBLIC_KEY)
        with pytest.raises(gosync.MismatchError):
            gosync.update("target", index=index, source="new", public_key=PUBLIC_KEY)
        with pytest.raises(gosync.MismatchError):
            gosync.verify("target", index=index, public_key=PUBLIC_KEY)
    assert pathlib.Path("target").read_bytes() == files.old

    opened = gosync.info("new.gosync", public_key=f"untrusted comment: a public key\n{PUBLIC_KEY}\n")
    assert (opened.name, opened.version, opened.signature) == ("app", "2.0", signed.signature)
    gosync.update("target", index="new.gosync", public_key=PUBLIC_KEY)
    assert pathlib.Path("target").read_bytes() == files.new


def test_keys_that_are_none_are_argument_errors(files: Files) -> None:
    files.publish()
    with pytest.raises(gosync.ArgumentError):
        gosync.info("new.gosync", public_key="RWTz")
    pathlib.Path("key").write_text(SECRET_KEY)
    for password in (None, "wrong"):
        with pytest.raises(gosync.ArgumentError, match="password"):
            gosync.index("new", sign="key", sign_password=password)
