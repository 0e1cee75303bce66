"""Certificates for tests: a facility's own authority and what it signs."""

from pathlib import Path

import trustme


def signed(authority: trustme.CA, folder: Path, name: str, identity: str, **more: object) -> None:
    """Have a certificate signed: NAME.pem and NAME.key in a folder."""
    made = authority.issue_cert(identity, **more)
    made.cert_chain_pems[0].write_to_path(folder / f"{name}.pem")
    made.private_key_pem.write_to_path(folder / f"{name}.key")
