"""The store's account of its disk: what is kept, what goes, what it costs."""

import asyncio
import errno
import hashlib
import shutil
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server import contents
from server.contents import open_content, write_contents
from server.errors import StoreFullError
from server.jobs import Job
from server.plates import PlateStore
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from tests.server.process import ROOT


def content(number, size=100):
    return bytes([number]) * size


def keep(store, data):
    """Have the store hold a content, as if a worker had made it."""
    name = codec.digest(data)
    store.adopt(name, write(store, data))
    return name


def write(store, data):
    name = codec.digest(data)
    return write_contents(store.folder, {name: data})[name]


def steps(call):
    """Lines of our own that a call carries out."""
    taken = 0

    def trace(frame, event, _):
        nonlocal taken
        taken += event == "line" and frame.f_code.co_filename.endswith("plates.py")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return taken


def test_a_result_that_equals_an_idle_content_is_not_evicted(tmp_path):
    """A frame that is told ready is there, whatever uploads take room meanwhile."""
    store = PlateStore(tmp_path, limit_bytes=1000, expire_seconds=1e9)
    result = content(1, 600)
    name = keep(store, result)

    file = write(store, result)  # by a worker, for another job
    store.reserve(600)
    store.adopt(name, file)

    with open_content(tmp_path, name) as file:
        assert file.read() == result


def test_two_workers_that_make_the_same_frame_are_both_believed(tmp_path):
    """Black frames of two shots, on two GPUs."""
    store = PlateStore(tmp_path, limit_bytes=1000, expire_seconds=1e9)
    name = codec.digest(content(1))
    files = [write(store, content(1)) for _ in range(2)]

    for file in files:
        store.adopt(name, file)

    assert name in store
    assert store.used_bytes == 100
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_nothing_of_a_frame_is_left_that_a_full_disk_cut_short(tmp_path):
    """Pixels that were written before where they come from could not be: nobody counts them."""
    code = """
import resource, signal, sys
from pathlib import Path
from server.errors import StoreFullError
from server.contents import write_contents
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60, resource.RLIM_INFINITY))
try:
    write_contents(Path(sys.argv[1]), {"a": bytes(50), "b": bytes(70)})
except StoreFullError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )

    assert done.stdout == "the server cannot write to its store: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_a_content_that_cannot_be_read_now_is_not_damaged(tmp_path, monkeypatch):
    """Too many files are open for a moment: no artist sends a shot again for that."""
    name = codec.digest(content(1))
    (tmp_path / name).write_bytes(content(1))
    store = PlateStore(tmp_path, limit_bytes=1000, expire_seconds=1e9)

    def busy(folder, name):
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(contents, "open_content", busy)
        asyncio.run(store.prove([name]))
    kept = name in store
    (tmp_path / name).write_bytes(content(2))
    asyncio.run(store.prove([name]))

    assert kept
    assert name not in store


@pytest.mark.parametrize(
    "work",
    [
        lambda store: (store.reserve(100), store.release(100)),
        lambda store: store.expire(),
    ],
    ids=["making room", "keeping house"],
)
def test_a_large_store_costs_no_more_than_a_small_one(tmp_path, work):
    """Everybody's calls wait meanwhile: at 400,000 plates for most of a second."""
    taken = []
    for count in (10, 1000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            (folder / hashlib.sha256(str(number).encode()).hexdigest()).touch()
        store = PlateStore(folder, limit_bytes=10**6, expire_seconds=1e9)
        taken.append(steps(partial(work, store)))

    assert taken[0] == taken[1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["keep", "pin", "unpin", "reserve", "missing", "expire"]),
            st.integers(0, 3),
        ),
        max_size=30,
    )
)
def test_the_account_is_what_the_disk_says(tmp_path_factory, steps):
    """After whatever order of jobs, results and uploads; what is pinned is never gone."""
    store = PlateStore(tmp_path_factory.mktemp("store"), limit_bytes=400, expire_seconds=1e9)
    names = [codec.digest(content(number)) for number in range(4)]
    pinned = []
    for step, number in steps:
        name = names[number]
        if step == "keep":
            keep(store, content(number))
        elif step == "pin" and name in store:
            store.pin([name])
            pinned.append(name)
        elif step == "unpin" and name in pinned:
            store.unpin([name])
            pinned.remove(name)
        elif step == "reserve":
            room = (400 - 100 * len(set(pinned)), 100 * (number + 1))
            if room[1] <= room[0]:
                store.reserve(room[1])
                assert store.used_bytes <= 400 - room[1]
                store.release(room[1])
            else:
                with pytest.raises(StoreFullError):
                    store.reserve(room[1])
        elif step == "missing":
            store.missing([name])
        else:
            store.expire()

        lying = [path.name for path in store.folder.iterdir()]
        assert store.used_bytes == 100 * len(lying)
        assert set(pinned) <= set(lying)
        assert {each for each in names if each in store} == set(lying)


def test_what_was_used_last_goes_last(tmp_path):
    """The plates of a shot that an artist works on all day stay."""
    store = PlateStore(tmp_path, limit_bytes=400, expire_seconds=1e9)
    names = [keep(store, content(number)) for number in range(4)]
    for _ in range(200):
        store.missing([names[0]])
    store.pin([names[1]])
    store.unpin([names[1]])

    store.reserve(200)

    assert [name for name in names if name in store] == [names[0], names[1]]


def test_a_disk_smaller_than_the_stores_limit_evicts_too(tmp_path, monkeypatch):
    """Renders of others fill the disk: uploads go on for as long as there is something to evict."""
    store = PlateStore(tmp_path, limit_bytes=10**9, expire_seconds=1e9)
    names = [keep(store, content(number)) for number in range(4)]
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda folder: SimpleNamespace(free=450 - 100 * len(list(folder.iterdir()))),
    )

    store.reserve(200)
    with pytest.raises(StoreFullError, match=r"room for 4\.5e-07 GB on its disk") as full:
        store.reserve(300)

    assert [name for name in names if name in store] == names[2:]
    assert full.value.retry_seconds == 5


def test_what_open_uploads_have_written_counts_once(tmp_path, monkeypatch):
    """An artist sends while a disk is nearly full; and what no disk of this size holds is refused
    for good, since waiting would not help."""
    data = content(1, 6000)
    name = codec.digest(data)
    store = PlateStore(tmp_path, limit_bytes=10**9, expire_seconds=1e9)
    monkeypatch.setattr(
        shutil,
        "disk_usage",
        lambda folder: SimpleNamespace(
            free=10_000 - sum(path.stat().st_size for path in folder.iterdir())
        ),
    )

    with store.upload(pb.UploadHeader(digest=name, size=len(data))) as upload:
        upload.extend(data[:5000])
        store.reserve(4000)
        store.release(4000)
        upload.extend(data[5000:])
        upload.finish(tmp_path / name)
    store.reserve(4000)
    with pytest.raises(StoreFullError, match="never for 2e-05 GB") as full:
        store.reserve(20_000)

    assert name in store
    assert full.value.retry_seconds is None


def ended(store, names, ended_at):
    """A job that has ended, and may be forgotten where room is needed."""
    frames = [
        pb.ClipFrame(plate=pb.Image(digest=name), mask=pb.Image(digest=name)) for name in names
    ]
    job = Job(pb.SubmitRequest(job_id="shot", frames=frames), "artist", ended_at=ended_at)
    store.pin(job.contents())
    spare = [job]
    store.spare = lambda: list(spare)
    store.let_go = lambda job: (spare.remove(job), store.unpin(job.contents(), job.ended_at))
    return spare


def test_an_ended_job_goes_before_what_was_used_after_it(tmp_path):
    """A clip that is being sent does not lose its own first plates to yesterday's."""
    store = PlateStore(tmp_path, limit_bytes=400, expire_seconds=1e9)
    names = [keep(store, content(number)) for number in range(4)]
    ended(store, names[:2], ended_at=5.0)

    store.reserve(200)

    assert [name for name in names if name in store] == names[2:]


def test_an_ended_job_goes_after_what_was_used_before_it(tmp_path):
    """Its client may come back; nobody asks for plates of last week."""
    store = PlateStore(tmp_path, limit_bytes=400, expire_seconds=1e9)
    names = [keep(store, content(number)) for number in range(4)]
    spare = ended(store, names[:2], ended_at=time.time() + 60)

    store.reserve(200)

    assert [name for name in names if name in store] == names[:2]
    assert spare


@pytest.mark.parametrize("size", [200, 301])
def test_no_job_is_forgotten_for_what_does_not_fit_anyway(tmp_path, size):
    """Whoever comes back for its frames finds them."""
    store = PlateStore(tmp_path, limit_bytes=400, expire_seconds=1e9)
    names = [keep(store, content(number)) for number in range(4)]
    spare = ended(store, names[:1], ended_at=5.0)
    store.pin(names[1:])

    with pytest.raises(StoreFullError) as full:
        store.reserve(size, beside=names[1:2])

    assert spare
    assert all(name in store for name in names)
    assert full.value.retry_seconds == (5 if size == 200 else None)
