"""Commands handed to a warm process of the same user: as if run here, or run here after all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from waiting import PATIENT, until

import facecli
from facecli.warm import client as relay
from facecli.warm.runner import open_socket

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
]

SERVICE = """
import os, sys, time
from facecli.warm.memory import Memory
from facecli.warm.runner import open_socket, start_runner

memory = Memory()

def run(arguments):
    names = {"memory": memory, "code": 0, "os": os, "sys": sys, "time": time}
    try:
        exec(arguments[0], names)
    except KeyboardInterrupt:
        print("interrupted")
        return 130
    return names["code"]

listener = open_socket()
if listener:
    start_runner(listener, lambda: run, memory)
print("first" if listener else "second", flush=True)
sys.stdin.read()
"""
CLIENT = """
import sys
from facecli.warm import client
client.START_SECONDS = {seconds}
code = client.relayed(sys.argv[1:])
sys.exit(99 if code is None else code)
"""
NOT_RELAYED = 99
HURRIED = CLIENT.format(seconds=0.5)
CLIENT = CLIENT.format(seconds=PATIENT)

Client = Callable[..., "subprocess.Popen[bytes]"]


def start(code: str, *arguments: str, **options: object) -> subprocess.Popen[bytes]:
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    return subprocess.Popen([sys.executable, "-P", "-c", code, *arguments], **(pipes | options))  # type: ignore[call-overload, no-any-return]


def first_line(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


@pytest.fixture
def service(runtime: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(SERVICE)
    assert first_line(process) == b"first\n"
    yield process
    process.kill()
    process.communicate()


def ask(code: str, client: str = CLIENT, **options: object) -> tuple[int, bytes, bytes]:
    """Have code run and return exit code, stdout and stderr."""
    process = start(client, code, **options)
    out, err = process.communicate(b"", timeout=PATIENT)
    return process.returncode, out, err


def test_a_command_has_its_clients_streams_folder_environment_and_umask(
    service: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    code = (
        "print(os.getcwd(), os.environ['MARK'], sys.stdin.read(), sys.stdout.encoding);"
        "print('Zoë', file=sys.stderr); os.close(os.open('made', os.O_CREAT, 0o666)); code = 7"
    )
    surroundings = {**os.environ, "MARK": "here", "LC_ALL": "C.UTF-8"}
    process = start(CLIENT, code, cwd=tmp_path, env=surroundings, umask=0o027)
    out, err = process.communicate(b"typed")
    assert (process.returncode, err) == (7, "Zoë\n".encode())
    assert out == f"{tmp_path} here typed utf-8\n".encode()
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o640


def test_without_a_service_nothing_is_relayed(runtime: Path) -> None:
    assert ask("1") == (NOT_RELAYED, b"", b"")


def test_the_socket_a_killed_service_left_is_passed_leftand_taken_over(
    service: subprocess.Popen[bytes], runtime: Path
) -> None:
    service.kill()
    service.wait()
    (left,) = runtime.rglob("*.sock")
    until(lambda: ask("1")[0] == NOT_RELAYED)
    again = start(SERVICE)
    try:
        assert first_line(again) == b"first\n"
        assert ask("code = 3")[0] == 3
        assert left.exists()
    finally:
        again.kill()
        again.communicate()


def test_a_second_service_leaves_commands_to_the_first(service: subprocess.Popen[bytes]) -> None:
    second = start(SERVICE)
    assert second.communicate(b"")[0] == b"second\n"
    assert ask("code = 4")[0] == 4


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONHASHSEED"])
def test_surroundings_that_count_only_at_the_start_keep_a_command_here(
    service: subprocess.Popen[bytes], name: str
) -> None:
    assert ask("1", env={**os.environ, name: "7"})[0] == NOT_RELAYED


def test_a_module_changed_since_the_service_started_keeps_commands_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "part" / "module.py"
    part.parent.mkdir()
    part.touch()
    (tmp_path / "__init__.py").touch()
    monkeypatch.setattr(facecli, "__file__", str(tmp_path / "__init__.py"))
    before = relay.meeting_place()
    assert relay.meeting_place() == before
    os.utime(part, (2e9, 2e9))
    assert relay.meeting_place() != before


def test_a_folder_others_may_enter_is_not_trusted_by_either_side(
    service: subprocess.Popen[bytes], runtime: Path
) -> None:
    (runtime / "facecli").chmod(0o755)
    assert ask("1")[0] == NOT_RELAYED
    with pytest.raises(PermissionError):
        open_socket()


def test_what_a_service_left_that_was_killed_at_its_start_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what one that starts at this moment has made is not."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    place = Path(relay.meeting_place())
    place.parent.mkdir(mode=0o700)
    over = subprocess.Popen([sys.executable, "-c", ""])
    over.wait()
    left, starting, mine = (
        place.with_suffix(f".{pid}") for pid in (over.pid, os.getppid(), os.getpid())
    )
    for one in (left, starting, mine):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
            bound.bind(str(one))
    listener = open_socket()
    assert listener is not None
    listener.close()
    assert set(place.parent.iterdir()) == {place, starting}


def test_the_socket_is_for_its_owner_alone(service: subprocess.Popen[bytes], runtime: Path) -> None:
    (place,) = runtime.rglob("*.sock")
    assert place.stat().st_mode & 0o777 == 0o600
    assert place.parent.stat().st_mode & 0o777 == 0o700


def test_ctrl_c_reaches_the_command_and_its_last_words_come_through(
    service: subprocess.Popen[bytes],
) -> None:
    process = start(CLIENT, f"print('begun', flush=True); time.sleep({PATIENT})")
    assert first_line(process) == b"begun\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=PATIENT)[0] == b"interrupted\n"
    assert process.returncode == 130


def test_a_command_ends_when_its_client_is_killed(service: subprocess.Popen[bytes]) -> None:
    process = start(CLIENT, f"print(os.getpid(), flush=True); time.sleep({10 * PATIENT})")
    command = int(first_line(process))
    process.kill()
    until(lambda: not Path(f"/proc/{command}").exists())
    process.communicate()


def test_a_command_outlives_its_service_and_its_answer_arrives(
    service: subprocess.Popen[bytes],
) -> None:
    process = start(CLIENT, "print('begun', flush=True); sys.stdin.read(); code = 5")
    assert first_line(process) == b"begun\n"
    service.kill()
    service.wait()
    process.communicate(b"end", timeout=PATIENT)
    assert process.returncode == 5


def test_a_command_that_is_killed_is_an_error_in_one_line(
    service: subprocess.Popen[bytes],
) -> None:
    code, _, err = ask("os.kill(os.getpid(), 9)")
    assert (code, err.count(b"\n")) == (2, 1)
    assert b"stopped in the middle" in err


def test_a_service_that_does_not_answer_in_time_never_runs_the_command(
    service: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    _, out, _ = ask("print(os.getppid())")
    runner = int(out)
    os.kill(runner, signal.SIGSTOP)
    try:
        assert ask(f"open({str(tmp_path / 'ran')!r}, 'w')", HURRIED)[0] == NOT_RELAYED
    finally:
        os.kill(runner, signal.SIGCONT)
    assert ask("code = 6")[0] == 6
    forks = Path(f"/proc/{runner}/task/{runner}/children")
    until(lambda: not forks.read_text())
    assert not (tmp_path / "ran").exists()


def test_strangers_that_say_nothing_or_nonsense_hold_nobody_up(
    service: subprocess.Popen[bytes],
) -> None:
    silent, wild = (socket.socket(socket.AF_UNIX) for _ in range(2))
    with silent, wild:
        silent.connect(relay.meeting_place())
        wild.connect(relay.meeting_place())
        wild.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert ask("code = 8")[0] == 8


def test_what_a_command_works_out_the_next_one_knows(service: subprocess.Popen[bytes]) -> None:
    code = "print(memory.recall(b'key', lambda: os.getpid())); code = 1"
    assert ask(code)[1] == ask(code)[1]


def test_many_commands_at_once_keep_apart(service: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Each waits until all have begun."""
    met = tmp_path / "met"
    met.mkdir()
    wait = f"while len(os.listdir({str(met)!r})) < 8: time.sleep(0.01)"
    clients = [
        start(CLIENT, f"os.mkdir('{met}/{number}'); print({number}); code = {number}\n{wait}")
        for number in range(8)
    ]
    answers = [one.communicate(b"", timeout=PATIENT)[0] for one in clients]
    assert answers == [f"{number}\n".encode() for number in range(8)]
    assert [one.returncode for one in clients] == list(range(8))


def test_the_clients_end_imports_neither_click_nor_numpy() -> None:
    code = "import sys, facecli.__main__, facecli.warm.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True
    ).stdout
    assert not {"click", "numpy", "sqlite3", "torch"} & set(loaded.split())
