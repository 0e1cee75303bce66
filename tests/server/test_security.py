"""Who may call: certificates, tokens, the network, and shared memory."""

import datetime
import gc
import os
import re
from pathlib import Path

import grpc
import numpy as np
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from node.client import InpaintClient
from node.errors import HostError, JobError, ServerUnreachableError
from server.check import check
from server.config import SecurityConfig, ServerConfig, StoreConfig
from server.errors import StartError
from server.operate import admin_command
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import Access, open_channel
from server.security import Tokens, require_valid, server_credentials
from tests.conftest import server, serving
from tests.server.credentials import signed, token_file
from tests.server.engines import FakeEngine
from tests.server.test_service import refusal, upload

PLATE = np.full((48, 48, 3), 0.5, np.float32)
MASK = np.ones((48, 48), np.bool_)
SECRET = codec.digest(b"secret")
TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A facility's own certificate authority and what it signed."""
    folder = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    signed(ca, folder, "server", "localhost")
    signed(ca, folder, "client", "artist@example.org")
    yesterday = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    signed(ca, folder, "expired", "localhost", not_after=yesterday)
    trustme.CA().cert_pem.write_to_path(folder / "stranger.pem")
    return folder


def tls(authority, **more):
    return SecurityConfig(
        certificate=authority / "server.pem", key=authority / "server.key", **more
    )


def completes(address, access):
    with InpaintClient(address, access=access, connect_seconds=5) as client:
        return list(dict(client.inpaint([PLATE], [MASK]))) == [0]


def test_tls_and_a_token_let_an_artist_in(authority, tmp_path):
    """The way a facility listens on its network."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    token = token_file(tmp_path / "token", TOKEN)
    with serving(FakeEngine(), security=tls(authority, tokens=tokens)) as address:
        access = Access(authority=authority / "ca.pem", token_file=token)
        assert completes(address, access)


def test_what_the_environment_names_is_shown(authority, tmp_path, monkeypatch):
    """Hosts without a field for it reach a closed server all the same."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    monkeypatch.setenv("STTN_TOKEN_FILE", str(token_file(tmp_path / "token", TOKEN)))
    monkeypatch.setenv("STTN_AUTHORITY", str(authority / "ca.pem"))
    with serving(FakeEngine(), security=tls(authority, tokens=tokens)) as address:
        assert completes(address, None)


@pytest.mark.parametrize("shown", [None, "wrong-horse-battery-staple", TOKEN[:-1]])
def test_no_token_or_a_wrong_one_is_unauthenticated(tmp_path, shown):
    """The artist hears what to do; it is counted; health stays open for load balancers."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    access = Access(token_file=None if shown is None else token_file(tmp_path / "token", shown))
    with server(FakeEngine(), security=SecurityConfig(tokens=tokens)) as (address, running):
        with pytest.raises(JobError, match=r"asks for a token.*STTN_TOKEN_FILE"):
            completes(address, access)
        with open_channel(address, access) as channel:
            for call in (
                lambda: upload(inpaint_pb2_grpc.PlatesStub(channel), b"abc"),
                lambda: list(inpaint_pb2_grpc.InpaintStub(channel).Watch(pb.WatchRequest())),
            ):
                code, _ = refusal(call)
                assert code is grpc.StatusCode.UNAUTHENTICATED
            counted = running.metrics.registry.get_sample_value
            assert counted("sttn_refused_calls_total", {"code": "UNAUTHENTICATED"}) == 3
            from grpc_health.v1 import health_pb2, health_pb2_grpc

            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())


@pytest.mark.parametrize("address", ["192.0.2.1:50071", "render01:50071", "[2001:db8::1]:50071"])
def test_a_token_never_leaves_the_machine_in_the_clear(tmp_path, address):
    """An authority that was forgotten: whoever listens on the way could submit as the artist."""
    access = Access(token_file=token_file(tmp_path / "token", TOKEN))

    with pytest.raises(ValueError, match=rf"{re.escape(address)} in the clear; name .*AUTHORITY"):
        open_channel(address, access)
    with pytest.raises(HostError, match="in the clear"):
        InpaintClient(address, access=access)


@pytest.mark.parametrize(
    ("address", "named", "told"),
    [
        ("localhost", None, "server 'localhost' has no port; write localhost:50071, or unix:/PATH"),
        ("render1:http", None, "'render1:http' has no port; write render1:50071"),
        (
            "http://render1:50071/",
            None,
            "'http://render1:50071/' is no address; write render1:50071",
        ),
        ("render1:99999", None, "server 'render1:99999' has a port out of 1..65535"),
        ("localhost:1", "nowhere", "cannot read .*nowhere: No such file or directory"),
    ],
)
def test_what_nothing_can_be_reached_with_is_told_at_once(tmp_path, address, named, told):
    """A script's slip: gRPC would try another port for ten seconds."""
    access = Access(token_file=named and tmp_path / named)

    with pytest.raises(HostError, match=told):
        InpaintClient(address, access=access)


@pytest.mark.parametrize(
    "content", [f"{TOKEN}\nold-horse\n", "tökens-horse-battery", "\ufeffa\0", "\n"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_token_file_that_holds_more_than_a_token_is_one_clear_line(tmp_path, content, encoding):
    """An artist who saved it in another editor; gRPC would speak of illegal metadata."""
    path = tmp_path / "token"
    path.write_bytes(content.encode(encoding))

    with pytest.raises(HostError, match=f"{path} must hold a token and nothing else: one line"):
        InpaintClient("localhost:1", access=Access(token_file=path))


def test_files_of_tokens_may_begin_as_windows_editors_begin_them(tmp_path):
    """With a byte order mark, on either side."""
    tokens = token_file(tmp_path / "tokens", f"\ufeffartist {TOKEN}")
    token = token_file(tmp_path / "token", f"\ufeff{TOKEN}\r\n")
    with server(FakeEngine(), security=SecurityConfig(tokens=tokens)) as (address, running):
        assert completes(address, Access(token_file=token))
        (job,) = running.scheduler._jobs.values()

    assert job.owner == "token artist"


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.2:1", "[::1]:1", "unix:/nowhere.sock"])
def test_a_token_may_go_to_this_machine(tmp_path, address):
    """A server of one's own needs no certificate."""
    open_channel(address, Access(token_file=token_file(tmp_path / "token", TOKEN))).close()


def test_tokens_are_changed_without_a_restart(tmp_path):
    """Somebody leaves the facility."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    token = token_file(tmp_path / "token", TOKEN)
    with serving(FakeEngine(), security=SecurityConfig(tokens=tokens)) as address:
        assert completes(address, Access(token_file=token))
        token_file(tokens, "other another-horse-battery-staple")
        os.utime(tokens, (1, 1))

        with pytest.raises(JobError, match="asks for a token"):
            completes(address, Access(token_file=token))


def test_an_artists_token_is_not_the_administrators(tmp_path):
    """Admin has a credential of its own, and is closed without one."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    token = token_file(tmp_path / "token", TOKEN)
    admins = token_file(tmp_path / "admins", "boss another-horse-battery-staple")
    for admin_tokens, told in ((admins, "not the administrator's"), (None, "no administrator")):
        security = SecurityConfig(tokens=tokens, admin_tokens=admin_tokens)
        with (
            serving(FakeEngine(), security=security) as address,
            open_channel(address, Access(token_file=token)) as channel,
        ):
            code, details = refusal(
                lambda: inpaint_pb2_grpc.AdminStub(channel).Drain(pb.DrainRequest())
            )
        assert code is grpc.StatusCode.PERMISSION_DENIED
        assert told in details


def test_nobody_cancels_anothers_job_but_the_administrator(tmp_path):
    """A slip in a farm's script; and a job that has to go tonight. Who did it is told."""
    secrets = {name: f"{name}s-horse-battery-staple" for name in ("ann", "bob", "boss")}
    files = {name: token_file(tmp_path / name, secret) for name, secret in secrets.items()}
    tokens = token_file(
        tmp_path / "tokens", *(f"{name} {secrets[name]}" for name in ("ann", "bob"))
    )
    admins = token_file(tmp_path / "admins", f"boss {secrets['boss']}")
    security, engine = SecurityConfig(tokens=tokens, admin_tokens=admins), FakeEngine()
    engine.hold.clear()
    with (
        serving(engine, security=security) as address,
        InpaintClient(address, access=Access(token_file=files["ann"])) as client,
        open_channel(address, Access(token_file=files["ann"])) as anns,
        open_channel(address, Access(token_file=files["bob"])) as bobs,
    ):
        ann, bob = inpaint_pb2_grpc.InpaintStub(anns), inpaint_pb2_grpc.InpaintStub(bobs)
        sent = client.send(np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_))
        for name in ("one", "other"):
            ann.Submit(pb.SubmitRequest(job_id=name, frames=[sent]))

        code, told = refusal(lambda: bob.Cancel(pb.CancelRequest(job_id="one")))
        jobs = len(bob.GetStatus(pb.GetStatusRequest()).jobs)
        ann.Cancel(pb.CancelRequest(job_id="one"))
        shown = ["--address", address, "--access.token-file", str(files["boss"])]
        assert admin_command(["cancel", "other", *shown]) == 0
        ends = [
            list(ann.Watch(pb.WatchRequest(job_id=name), timeout=30))[-1].finished.message
            for name in ("one", "other")
        ]

    assert (code, jobs) == (grpc.StatusCode.PERMISSION_DENIED, 2)
    assert told.startswith("job 'one' belongs to token ann, who may cancel it")
    assert ends == ["cancelled by token ann", "cancelled by administrator boss"]


def test_mutual_tls_knows_the_client_by_its_certificate(authority):
    """No tokens to hand around; a stranger is refused."""
    security = tls(authority, client_authority=authority / "ca.pem")
    known = Access(
        authority=authority / "ca.pem",
        certificate=authority / "client.pem",
        key=authority / "client.key",
    )
    with serving(FakeEngine(), security=security) as address:
        assert completes(address, known)
        with pytest.raises(ServerUnreachableError):
            InpaintClient(
                address, access=Access(authority=authority / "ca.pem"), connect_seconds=0.5
            )


def test_an_expired_client_certificate_is_refused(authority):
    """It was good yesterday."""
    security = tls(authority, client_authority=authority / "ca.pem")
    expired = Access(
        authority=authority / "ca.pem",
        certificate=authority / "expired.pem",
        key=authority / "expired.key",
    )
    with serving(FakeEngine(), security=security) as address, pytest.raises(ServerUnreachableError):
        InpaintClient(address, access=expired, connect_seconds=0.5)


def test_a_server_nobody_vouches_for_is_not_believed(authority):
    """The artist hears that it is the certificate."""
    stranger = Access(authority=authority / "stranger.pem")
    with (
        serving(FakeEngine(), security=tls(authority)) as address,
        pytest.raises(ServerUnreachableError, match="CERTIFICATE"),
    ):
        InpaintClient(address, access=stranger, connect_seconds=5)


def test_a_server_does_not_start_with_an_expired_certificate(authority):
    """One line, rather than clients that all fail."""
    with pytest.raises(StartError, match=r"expired.pem expired on \d{4}-\d\d-\d\d; renew it"):
        require_valid(authority / "expired.pem")
    with pytest.raises(StartError, match="is not a PEM certificate"):
        require_valid(authority / "server.key")


def test_a_renewed_certificate_counts_once_its_key_is_there_too(tmp_path, caplog):
    """A cron job writes one file after the other: artists who come in between get the old ones."""
    old, new = trustme.CA(), trustme.CA()
    for name, ca in (("old", old), ("new", new)):
        ca.cert_pem.write_to_path(tmp_path / f"{name}-ca.pem")
        signed(ca, tmp_path, name, "localhost")

    def put(kind):
        (tmp_path / f"new.{kind}").replace(tmp_path / f"old.{kind}")

    security = SecurityConfig(certificate=tmp_path / "old.pem", key=tmp_path / "old.key")
    with serving(FakeEngine(), security=security) as address:
        put("pem")
        for _ in range(2):
            assert completes(address, Access(authority=tmp_path / "old-ca.pem"))
        put("key")
        assert completes(address, Access(authority=tmp_path / "new-ca.pem"))

    told = [record.message for record in caplog.records if "certificates stay" in record.message]
    assert len(told) == 1


def test_a_short_key_is_as_good_as_before(tmp_path):
    """Of a device's own certificate, say; how weak one may be is not looked at twice."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(1))
    ).sign(key, hashes.SHA256())
    own = SecurityConfig(certificate=tmp_path / "own.pem", key=tmp_path / "own.key")
    own.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    own.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )

    assert server_credentials(own) is not None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"key": "client.key"}, "client.key is not the private key"),
        ({"key": "ca.pem"}, "ca.pem is not the private key"),
        ({"client_authority": "server.key"}, "server.key holds no PEM certificate"),
    ],
)
def test_files_of_tls_that_do_not_belong_together_are_told(
    authority, tmp_path, capsys, wrong, told
):
    """By --check, and at the start instead of a word about the address."""
    files = {"certificate": "server.pem", "key": "server.key", **wrong}
    security = SecurityConfig(**{name: authority / file for name, file in files.items()})
    with pytest.raises(StartError, match=told):
        server_credentials(security)

    fit = check(
        ServerConfig(
            address=f"unix:{tmp_path}/s.sock",
            security=security,
            store=StoreConfig(gigabytes=1e-3),
            device="cuda:63",
        )
    )

    assert fit == 1
    assert f"FAIL  {authority}/{told}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("lines", "mode", "told"),
    [
        (["artist short"], 0o600, "at least 16 characters"),
        ([TOKEN], 0o600, "write NAME TOKEN"),
        (["artist grün-und-lang-genug"], 0o600, "all of them ASCII"),
        (["# nobody"], 0o600, "no tokens in"),
        ([f"artist {TOKEN}"], 0o644, "everybody can read"),
    ],
)
def test_token_files_that_protect_nothing_are_refused(tmp_path, lines, mode, told):
    """At the start, not at the first theft."""
    path = token_file(tmp_path / "tokens", *lines)
    path.chmod(mode)

    with pytest.raises(StartError, match=told):
        Tokens(path)


def test_a_token_file_that_is_no_text_is_told_and_changes_nothing(tmp_path, caplog):
    """Saved on an old Windows, with an accent in a name: one line, at the start or in the log, and
    nobody is locked out; put right, it counts."""
    path = token_file(tmp_path / "tokens", f"artist {TOKEN}")
    tokens = Tokens(path)
    path.write_bytes(f"ren\xe9 {TOKEN}\n".encode("latin-1"))
    os.utime(path, (1, 1))

    shown = [("authorization", f"Bearer {TOKEN}")]
    assert [tokens.owner(shown) for _ in range(3)] == ["artist"] * 3
    assert len(caplog.records) == 1
    with pytest.raises(StartError, match=f"the tokens in {path} are no UTF-8 text"):
        Tokens(path)

    token_file(path, f"other {TOKEN}").chmod(0o644)
    assert tokens.owner(shown) == "artist"
    path.chmod(0o600)
    assert tokens.owner(shown) == "other"


@pytest.mark.parametrize(
    "settings",
    [{"tokens": "t"}, {"certificate": "c", "key": "k"}, {"client_authority": "a"}, {"key": "k"}],
)
def test_the_network_wants_both_tls_and_a_credential(settings, tmp_path):
    """Half a lock is refused, unless somebody says it in so many words."""
    paths = {name: Path(value) for name, value in settings.items()}
    with pytest.raises(ValueError, match=r"can be reached|go together|asks for TLS"):
        ServerConfig(address="0.0.0.0:50071", security=SecurityConfig(**paths))

    ServerConfig(address="0.0.0.0:50071", security=SecurityConfig(allow_anyone_on_the_network=True))


# Shared memory


def test_pixels_are_handed_over_in_memory_both_ways(address_with_memory):
    """On one machine they need no network; the fill is the same."""
    address, _ = address_with_memory
    calls = []
    with InpaintClient(address, shared_memory=True) as client:
        client._server.plates.Upload = lambda *_: calls.append("uploaded")
        client._server.plates.Download = lambda *_: calls.append("downloaded")
        completed = dict(client.inpaint([PLATE], [MASK]))

    assert not calls
    np.testing.assert_array_equal(completed[0], np.float32(0.25))


def test_memory_that_was_sent_in_serves_the_next_frames_and_is_given_back(address_with_memory):
    """A shot of large plates in a host that stays open: pages are had once, and not kept."""
    address, _ = address_with_memory
    rng = np.random.default_rng(0)
    plates = [rng.random((side, side, 3), np.float32) for side in (96, 144, 48, 96)]

    def descriptors():
        links = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
        return {link for link in links if "sttn-plate" in os.path.realpath(link)}

    gc.collect()  # frames that were fetched before hold theirs
    before = descriptors()
    with InpaintClient(address, shared_memory=True) as client:
        client._server.plates.Upload = None
        sent = [client.send(plate, np.ones(plate.shape[:2], np.bool_)) for plate in plates]
        assert len(descriptors() - before) == 1
        (shape,) = [frame.shape for _, frame in client.complete(sent[2:3])]
        assert descriptors() == before
        client.send(plates[0] / 2, np.ones((96, 96), np.bool_))
    assert descriptors() == before

    assert [image.plate.digest for image in sent] == [codec.digest(p.tobytes()) for p in plates]
    assert shape == (48, 48, 3)


def test_a_server_that_does_not_allow_it_gets_uploads(address):
    """The default; nobody has to know."""
    with InpaintClient(address, shared_memory=True) as client:
        assert list(dict(client.inpaint([PLATE], [MASK]))) == [0]


@pytest.fixture
def address_with_memory(tmp_path):
    address = f"unix:{tmp_path}/s.sock"
    with server(FakeEngine(), address=address, shared_memory=True) as started:
        yield started


@pytest.mark.parametrize(
    "settings",
    [
        {"address": "localhost:50071"},
        {"address": "unix:/tmp/s.sock", "security": SecurityConfig(tokens=Path("tokens"))},
    ],
)
def test_memory_is_shared_only_where_nobody_else_can_ask(settings):
    """Another user of the machine has no server write into an artist's processes."""
    with pytest.raises(ValueError, match=r"shared_memory .*; give --address unix:/PATH and no"):
        ServerConfig(**settings, shared_memory=True)


@pytest.mark.parametrize(("closed", "mode"), [(False, 0o600), (True, 0o777)])
def test_a_socket_is_ones_own_from_its_first_moment(tmp_path, monkeypatch, closed, mode):
    """Unless tokens say who may come: then every user of the machine may knock: write to it."""
    tokens = token_file(tmp_path / "tokens", f"artist {TOKEN}") if closed else None
    modes = []
    made = grpc.aio._server.Server.add_insecure_port

    def looked_at(self, address):
        port = made(self, address)
        modes.append((tmp_path / "s.sock").stat().st_mode & 0o777)
        return port

    monkeypatch.setattr(grpc.aio._server.Server, "add_insecure_port", looked_at)
    before = os.umask(0o022)
    try:
        with serving(
            FakeEngine(),
            address=f"unix:{tmp_path}/s.sock",
            security=SecurityConfig(tokens=tokens),
        ):
            pass
    finally:
        os.umask(before)

    assert modes == [mode]


def test_only_memory_that_was_named_for_it_is_read(address_with_memory, tmp_path):
    """No file, no socket, no other process's secret; and a wrong digest keeps nothing."""
    address, _ = address_with_memory
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    memory = os.memfd_create("sttn-plate")
    os.write(memory, b"pixels")
    other = os.memfd_create("something")
    os.write(other, b"secret")
    with secret.open("rb") as file, grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.PlatesStub(channel)

        def take(descriptor, name=SECRET, size=6, process=None):
            return stub.Take(
                pb.TakeRequest(
                    digest=name,
                    size=size,
                    process=process or os.getpid(),
                    descriptor=descriptor,
                )
            )

        for attempt, told in (
            (lambda: take(file.fileno()), "is not a memfd"),
            (lambda: take(other), "is not a memfd"),
            (lambda: take(9999), "cannot open"),
            (lambda: take(memory, process=2**22 - 1), "cannot open"),
            (lambda: take(memory), "another digest"),
            (lambda: take(memory, codec.digest(b"pixels"), size=7), "6 bytes, not 7"),
        ):
            code, details = refusal(attempt)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert told in details
        assert take(memory, codec.digest(b"pixels")).committed == 6
    os.close(memory)
    os.close(other)


def test_only_memory_that_was_named_for_it_is_written(address_with_memory, tmp_path):
    """No client has the server write into a file, or beyond what it asked for."""
    address, _ = address_with_memory
    target = tmp_path / "target"
    target.write_bytes(b"as it was")
    memory, small, other = (
        os.memfd_create(name) for name in ("sttn-plate", "sttn-small", "something")
    )
    os.ftruncate(memory, 6)
    os.ftruncate(small, 5)
    with target.open("r+b") as file, grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.PlatesStub(channel)
        name = codec.digest(b"pixels")
        upload(stub, b"pixels")

        def give(descriptor, name=name):
            request = pb.GiveRequest(digest=name, process=os.getpid(), descriptor=descriptor)
            return stub.Give(request)

        for attempt, code, told in (
            (lambda: give(file.fileno()), grpc.StatusCode.INVALID_ARGUMENT, "is not a memfd"),
            (lambda: give(other), grpc.StatusCode.INVALID_ARGUMENT, "is not a memfd"),
            (lambda: give(small), grpc.StatusCode.INVALID_ARGUMENT, "6 bytes large"),
            (lambda: give(9999), grpc.StatusCode.INVALID_ARGUMENT, "cannot open"),
            (lambda: give(memory, SECRET), grpc.StatusCode.NOT_FOUND, "no content"),
        ):
            refused, details = refusal(attempt)
            assert refused is code
            assert told in details
        assert give(memory).size == 6
        assert os.pread(memory, 10, 0) == b"pixels"
    assert target.read_bytes() == b"as it was"
    for descriptor in (memory, small, other):
        os.close(descriptor)


def test_memory_is_given_to_nobody_unless_it_is_enabled(address):
    """Off by default, in both directions."""
    with grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.PlatesStub(channel)
        code, details = refusal(lambda: stub.Give(pb.GiveRequest(digest=SECRET)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "--shared-memory" in details
