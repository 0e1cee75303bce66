"""Credentials for tests: what a facility's own authority signs, and files of tokens."""

from pathlib import Path

import trustme


def signed(authority: trustme.CA, folder: Path, name: str, identity: str, **more: object) -> None:
    """Have a certificate signed: NAME.pem and NAME.key in a folder."""
    made = authority.issue_cert(identity, **more)
    made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    made.private_key_pem.write_to_path(folder / f"{name}.key")


def token_file(path: Path, *lines: str) -> Path:
    """A file of tokens that only its owner can read."""
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o600)
    return path
