"""The scenarios: each prepares a context, says what changes between builds, and what is wanted of Garboard."""
import base64
import contextlib
import gzip
import hashlib
import multiprocessing
import os
import random
import shutil
import subprocess

from peers import unmount_below
from registry import base_tar

WORDS = ("let fn return match struct impl pub use crate self none some error value index length buffer "
         "reader writer path name entry layer digest size mode owner for while if else loop break").split()


class Skipped(Exception):
    """A scenario needs something that is not here; the message says what."""


class Scenario:
    """One row of the table. `unit` is `s`, `ms` (per step), `MB` or `x`; a `wanted` of `40x buildah` is a least ratio,
    one of `1.1 s` a greatest value; `x` is a ratio itself."""

    name = about = ""
    unit, wanted, push, runs = "s", (), True, 5

    def __init__(self, folder, registry, opts):
        self.folder, self.small, self.opts = folder, opts.smoke, opts
        self.registry, self.base = registry, registry.push_base()
        os.makedirs(folder, exist_ok=True)
        self.prepare()

    def suits(self, peer):
        """Whether a program can do what is measured."""
        return hasattr(peer, "build")

    def prepare(self):
        """Writes the context; runs once, before any builder."""

    def change(self, turn):
        """Makes the change that the builds of this turn see; turn 0 is the first, unmeasured build."""

    def measure(self, peer, reference):
        """One build by one builder; returns the figure in this scenario's unit."""
        return peer.build(self.folder, reference, self.push).seconds

    def dockerfile(self, *lines):
        with open(os.path.join(self.folder, "Dockerfile"), "w", encoding="utf-8") as out:
            out.write("\n".join([f"FROM {self.base}", *lines]) + "\n")


def write_tree(*arguments):
    """`files_of_tree` in a process of its own: what this one holds in memory counts in the peak of those it starts."""
    writer = multiprocessing.Process(target=files_of_tree, args=arguments)
    writer.start()
    writer.join()
    if writer.exitcode:
        raise OSError("the files of the context could not be written")


def files_of_tree(root, count, total, seed):
    """`count` files with `total` bytes of source-like text together, 50 files a folder, the same for the same seed."""
    rng = random.Random(seed)
    text = " ".join(rng.choices(WORDS, k=600_000)) + "\n"
    pool = "".join(line if n % 3 else f"{line}{rng.random()}\n" for n, line in enumerate(wrap(text))).encode()
    mean = total // count
    for n in range(count):
        folder = os.path.join(root, f"d{n // 50:04}")
        if n % 50 == 0:
            os.makedirs(folder)
        size = rng.randint(mean // 4, mean * 7 // 4)
        start = rng.randrange(max(1, len(pool) - size))
        with open(os.path.join(folder, f"f{n:05}.txt"), "wb") as out:
            out.write(f"{n}\n".encode() + pool[start:start + size])


def wrap(text):
    """The text in lines of 80 characters."""
    return [text[i:i + 80] + "\n" for i in range(0, len(text), 80)]


class Noop(Scenario):
    name, about, wanted = "noop", "7,500 files of 80 MB, nothing changed", ("40x buildah",)
    files, size = 7500, 80_000_000

    def prepare(self):
        scale = 20 if self.small else 1
        write_tree(os.path.join(self.folder, "src"), self.files // scale, self.size // scale, 1)
        self.dockerfile("COPY . /src")


class Noop50k(Noop):
    name, about, wanted = "noop-50k", "50,000 small files, nothing changed", ("80x buildah",)
    files, size = 50_000, 25_000_000


class CopyOne(Noop):
    name, about, wanted = "copy-1", "7,500 files, one changed, COPY is last", ("12x buildah",)

    def change(self, turn):
        with open(os.path.join(self.folder, "src", "d0003", "f00155.txt"), "a", encoding="utf-8") as out:
            out.write(f"changed in turn {turn}\n")


class CopyRunOne(CopyOne):
    name, about, wanted = "copy-run-1", "the same, then a RUN that walks them", ("6x buildah",)

    def prepare(self):
        super().prepare()
        self.dockerfile("COPY . /src", "RUN find /src -type f | wc -l > /count")


class Runs50(Scenario):
    """The steps differ by an argument: one that is the same as the one before, on a tree that it left as it was, could
    be taken from the cache."""

    name, about, wanted = "runs-50", "50 times `RUN true`, all run", ("20x buildah",)

    def change(self, turn):
        steps = 5 if self.small else 50
        self.dockerfile(f"ENV TURN={turn}", *[f"RUN true {n}" for n in range(steps)])


class Layer300(Scenario):
    name, about, wanted = "layer-300m", "a RUN that writes 300 MB of base64", ("1.8x buildah",)

    def change(self, turn):
        size = 15 if self.small else 225
        self.dockerfile(f"ENV TURN={turn}", f"RUN head -c {size}000000 /dev/urandom | base64 > /big")


class Stages(Scenario):
    name, about, wanted = "stages", "two stages of `sleep 1` beside each other, joined by COPY", ("1.1 s",)

    def change(self, turn):
        self.dockerfile(f"ENV TURN={turn}", "RUN sleep 1 && echo one > /one", f"FROM {self.base} AS second",
                        f"ENV TURN={turn}", "RUN sleep 1 && echo two > /two", f"FROM {self.base}",
                        "COPY --from=0 /one /one", "COPY --from=second /two /two")


class Services(Scenario):
    """Twenty services that share two stages of a second each; each has a second of its own. So the longest path takes three."""

    name, wanted = "services", ("3.45 s",)
    about = "`compose build` of 20 services that share two stages of `sleep 1`, each with one of its own"

    def suits(self, peer):
        return hasattr(peer, "compose")

    def change(self, turn):
        with open(os.path.join(self.folder, "compose.yaml"), "w", encoding="utf-8") as out:
            out.write("name: services\nservices:\n")
            for number in range(20):
                out.write(f"  s{number}:\n    build: {{context: ., dockerfile: Dockerfile.{number}}}\n")
        for number in range(20):
            with open(os.path.join(self.folder, f"Dockerfile.{number}"), "w", encoding="utf-8") as out:
                out.write(f"FROM {self.base} AS tools\nENV TURN={turn}\nRUN sleep 1\nFROM tools AS lib\n"
                          f"RUN echo lib > /made; sleep 1\nFROM lib\nRUN echo {number} > /own; sleep 1\n")

    def measure(self, peer, reference):
        return peer.compose(self.folder).seconds


class ServicesNoop(Services):
    """The same when nothing changed."""

    name, wanted = "services-noop", ("0.2 s",)
    about = "`compose build` of those 20 services when nothing changed"

    def change(self, turn):
        super().change(0)


class RunStep(Scenario):
    name, unit, push = "run-step", "ms", False
    about = 'one `RUN ["/bin/true"]`: (51 of them less one of them) / 50, not pushed'
    wanted = ("15 ms", "3x buildah", "3x docker")

    def change(self, turn):
        self.turn = turn

    def measure(self, peer, reference):
        steps = 5 if self.small else 50
        seconds = []
        # The one-step build has its own ENV, or its step would be the other build's cached first step.
        for count in (1, 1 + steps):
            self.dockerfile(f"ENV TURN={self.turn}-{count}", *[f'RUN ["/bin/true", "{n}"]' for n in range(count)])
            seconds.append(peer.build(self.folder, reference, self.push).seconds)
        return (seconds[1] - seconds[0]) / steps * 1000


class MemoryRun(Scenario):
    name, unit, wanted, runs = "memory-run", "MB", ("100 MB",), 1
    about = "peak memory: build and push a 1 GB layer that a RUN wrote"

    def change(self, turn):
        size = 50 if self.small else 1000
        self.dockerfile(f"ENV TURN={turn}", f"RUN head -c {size}000000 /dev/urandom > /big")

    def measure(self, peer, reference):
        return peer.build(self.folder, reference, self.push).peak / 1e6


class MemoryCopy(MemoryRun):
    name, about = "memory-copy", "peak memory: build and push a 1 GB file that COPY took from the context"

    def change(self, turn):
        self.dockerfile("COPY big /big")
        with open(os.path.join(self.folder, "big"), "wb") as out:
            for _ in range(50 if self.small else 1000):
                out.write(os.urandom(1_000_000))


class Pull(Scenario):
    """Each pull goes to an empty store, and ends with the files in a folder that a container could be started from. For
    Garboard, one is: a step that does nothing is in its figure. No store is removed before the last pull: on ext4, making
    files takes several times as long while others were deleted lately."""

    name, about = "pull", "pull a Debian of 61 MB (6,700 files) and unpack it"
    wanted = ("2x umoci", "2x buildah", "2x podman")

    def suits(self, peer):
        return hasattr(peer, "pull")

    def prepare(self):
        # In a process of its own: what this one held in memory would count in the peak of those it starts.
        with multiprocessing.Pool(1) as pool:
            path, diff_id = pool.apply(write_debian, (self.folder, self.small, self.opts.debian))
        self.reference = self.registry.push_image("debian", self.registry.put_file("debian", path), diff_id)

    def change(self, turn):
        self.turn = turn

    def measure(self, peer, reference):
        return self.pulled(peer).seconds

    def pulled(self, peer):
        """The cost of a pull into an empty store."""
        folder = os.path.join(self.folder, f"{peer.name}-{self.turn}")
        os.makedirs(folder)
        try:
            return peer.pull(self.reference, folder)
        finally:
            unmount_below(folder)


def write_debian(folder, small, given):
    """A layer of a Debian as a gzip file, and the digest of its tar. The base of the other scenarios when small."""
    path = given or os.path.join(folder, "layer.tar.gz")
    if given:
        with gzip.open(given) as source:
            return given, hashlib.file_digest(source, "sha256").hexdigest()
    tar = base_tar() if small else debian_tar(os.path.join(folder, "debian"))
    with open(path, "wb") as out:
        out.write(gzip.compress(tar, 6, mtime=0))
    return path, hashlib.sha256(tar).hexdigest()


def debian_tar(root):
    """Debian's smallest set of packages. The lists of packages stay in it, as `apt-get update` leaves them."""
    program = shutil.which("debootstrap")
    if program is None or os.geteuid() != 0:
        raise Skipped("needs root and debootstrap, or --debian: apt-get install debootstrap")
    made = subprocess.run([program, "--variant=minbase", "stable", root], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, check=False)
    if made.returncode != 0:
        raise Skipped("debootstrap: " + (made.stdout.strip() or made.stderr.strip()).rsplit("\n", 1)[-1])
    without = ["--exclude=./dev/*", "--exclude=./var/cache/apt/archives/*"]
    tar = subprocess.run(["tar", "-c", "--numeric-owner", *without, "-C", root, "."], check=True, capture_output=True)
    shutil.rmtree(root)
    return tar.stdout


class Push(Scenario):
    """What sending a layer adds to making it: the time of a build that pushes, divided by that of one like it that does
    not, which reads, hashes and compresses the file and leaves blob and image in the store. In both the registry has a core
    of its own: what it does with what it gets is not ours to speed up."""

    name, unit, wanted = "push", "x", ("1.3 x",)
    about = "build and push of a new layer with 500 MB of base64, against the same build without the push"

    def suits(self, peer):
        return peer.name == "garboard"  # others don't compress before they push

    def change(self, turn):
        for name in ("alone", "pushed"):
            with open(os.path.join(self.folder, name), "wb") as out:
                for _ in range(25 if self.small else 500):
                    out.write(base64.b64encode(os.urandom(750_000)))

    def measure(self, peer, reference):
        seconds = {}
        for name in ("alone", "pushed"):
            self.dockerfile(f"COPY {name} /big")
            os.sync()
            with self.place():
                seconds[name] = peer.build(self.folder, reference, push=name == "pushed").seconds
        return seconds["pushed"] / seconds["alone"]

    def place(self):
        return self.registry.apart()


class PushShared(Push):
    """The same where the registry takes its part of all cores, on which nothing is wanted."""

    name, wanted = "push-shared", ()
    about = "the same, with the registry on the same cores"

    def place(self):
        return contextlib.nullcontext()


class MemoryPush(Push):
    name, unit, wanted, runs = "memory-push", "MB", ("60 MB",), 1
    about = "peak memory: build and push of such a layer"

    def measure(self, peer, reference):
        self.dockerfile("COPY pushed /big")
        return peer.build(self.folder, reference).peak / 1e6


class MemoryPull(Pull):
    name, unit, wanted, runs = "memory-pull", "MB", ("60 MB",), 1
    about = "peak memory: pull and unpack that Debian"

    def measure(self, peer, reference):
        return self.pulled(peer).peak / 1e6


ALL = [Noop, Noop50k, CopyOne, CopyRunOne, Runs50, Layer300, Stages, Services, ServicesNoop, RunStep, MemoryRun, MemoryCopy,
       MemoryPush, MemoryPull, Pull, Push,
       PushShared]
