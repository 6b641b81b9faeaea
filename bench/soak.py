#!/usr/bin/env python3
"""Builds again and again under a small cap, kills every tenth build, and looks whether all stays right.

    bench/soak.py --garboard target/release/garboard [--builds 2000] [--cap 2000000000] [--root FOLDER] [--seed N]

Each build changes a Dockerfile or its files and is checked: its image must have what the Dockerfile says, computed here
without the builder. A killed build must not spoil the next ones. Every 50 builds the store has to be below the cap and a tenth,
and at the end nothing may be wrong with it (`debug fsck`). Needs a static busybox and what RUN steps need; the status
is 0 if all held.
"""
import argparse
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

PROJECTS = 6
FILES = 12


class Project:
    """A Dockerfile with files, and what its image has to hold."""

    def __init__(self, folder, number, dice):
        self.folder, self.number, self.dice = folder, number, dice
        self.files = {f"f{n}": self.content() for n in range(FILES)}
        self.steps = [f"step {number}.{n}" for n in range(3)]
        self.big = dice.randrange(1 << 30)
        self.megabytes = dice.randrange(1, 12)
        os.makedirs(os.path.join(folder, "src"))
        for name in self.files:
            self.write(name)

    def content(self):
        return f"{self.dice.random()}\n" * self.dice.randrange(1, 200)

    def write(self, name):
        with open(os.path.join(self.folder, "src", name), "w") as file:
            file.write(self.files[name])

    def change(self):
        what = self.dice.random()
        if what < 0.4:
            name = self.dice.choice(sorted(self.files))
            self.files[name] = self.content()
            self.write(name)
        elif what < 0.6:
            self.steps[self.dice.randrange(len(self.steps))] = f"step {self.dice.random()}"
        elif what < 0.75:
            self.big = self.dice.randrange(1 << 30)
            self.megabytes = self.dice.randrange(1, 12)
        elif what < 0.85:
            name = f"f{self.dice.randrange(1000)}"
            self.files[name] = self.content()
            self.write(name)
        elif len(self.files) > 2:
            name = self.dice.choice(sorted(self.files))
            del self.files[name]
            os.remove(os.path.join(self.folder, "src", name))
        # else: the same again

    def dockerfile(self):
        noise = f"yes {self.big} | head -c {self.megabytes}000000"
        return "\n".join([
            "FROM base AS big", f"RUN {noise} | md5sum > /big.sum; head -c {self.megabytes}000000 /dev/urandom > /big", "FROM base",
            f"RUN echo '{self.steps[0]}' > /one", "COPY src /src", f"RUN cat /src/* | sha256sum > /sum; echo '{self.steps[1]}' > /two",
            "COPY --from=big /big /big.sum /", f"RUN echo '{self.steps[2]}' > /three", ""])

    def expected(self):
        digest = hashlib.sha256("".join(self.files[name] for name in sorted(self.files)).encode()).hexdigest()
        line = f"{self.big}\n".encode()
        noise = (line * (self.megabytes * 1_000_000 // len(line) + 1))[: self.megabytes * 1_000_000]
        found = {f"src/{name}": text.encode() for name, text in self.files.items()}
        found.update({
            "one": f"{self.steps[0]}\n".encode(), "two": f"{self.steps[1]}\n".encode(), "three": f"{self.steps[2]}\n".encode(),
            "sum": f"{digest}  -\n".encode(), "big.sum": f"{hashlib.md5(noise).hexdigest()}  -\n".encode()})
        return found


def check(tar, expected):
    """What of the image is not as it should be."""
    wrong, seen = [], set()
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name.startswith("src/") and member.isfile() and name not in expected:
                wrong.append(f"{name} should not be there")
            if name in expected:
                seen.add(name)
                if archive.extractfile(member).read() != expected[name]:
                    wrong.append(f"{name} has other content")
    return wrong + [f"{name} is missing" for name in expected if name not in seen]


def size(folder):
    """Bytes on disk; a file with several names counts once."""
    seen, total = set(), 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(os.path.join(path, name))
            except FileNotFoundError:
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--garboard", required=True)
    options.add_argument("--builds", type=int, default=2000)
    options.add_argument("--cap", type=int, default=2_000_000_000)
    options.add_argument("--root")
    options.add_argument("--seed", type=int, default=1)
    options = options.parse_args()
    garboard = os.path.abspath(options.garboard)
    dice = random.Random(options.seed)
    place = tempfile.mkdtemp(prefix="garboard-soak-")
    root = options.root or os.path.join(place, "root")
    base = os.path.join(place, "base")
    os.makedirs(os.path.join(base, "bin"))
    shutil.copy(shutil.which("busybox"), os.path.join(base, "bin/busybox"))
    for applet in ("sh", "cat", "echo", "head", "md5sum", "sha256sum", "yes"):
        os.symlink("busybox", os.path.join(base, "bin", applet))
    config = os.path.join(place, "garboard.toml")
    with open(config, "w") as file:
        file.write(f"[store]\nmax-used-space = \"{options.cap}\"\nmin-free-space = \"0\"\nreserved-space = \"0\"\n")
    env = dict(os.environ, GARBOARD_ROOT=root, GARBOARD_CONFIG=config)
    projects = [Project(os.path.join(place, f"p{n}"), n, dice) for n in range(PROJECTS)]
    failures, killed, largest, begin = [], 0, 0, time.time()
    for number in range(1, options.builds + 1):
        project = dice.choice(projects)
        project.change()
        with open(os.path.join(project.folder, "Dockerfile"), "w") as file:
            file.write(project.dockerfile())
        command = [garboard, "build", "--build-context", f"base={base}", "--quiet"]
        if number % 10 == 0:
            process = subprocess.Popen([*command, "-t", f"p{project.number}", project.folder], env=env, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(dice.random() * 0.6)
            process.kill()
            process.wait()
            killed += 1
        else:
            out = os.path.join(place, "image.tar")
            done = subprocess.run([*command, "-o", f"type=tar,dest={out}", "-t", f"p{project.number}", project.folder], env=env,
                                  capture_output=True)
            if done.returncode != 0:
                failures.append(f"build {number}: {done.stderr.decode(errors='replace')}")
            else:
                with open(out, "rb") as file:
                    failures += [f"build {number}: {text}" for text in check(file.read(), project.expected())]
            if number % 7 == 0:  # an image that stays, so that names and blobs are there too
                subprocess.run([*command, "-t", f"p{project.number}", project.folder], env=env, capture_output=True)
        if number % 50 == 0:
            used = size(root)
            largest = max(largest, used)
            print(f"{number} builds, {time.time() - begin:.0f} s, {used / 1e6:.0f} MB", flush=True)
            if used > options.cap * 1.1:
                failures.append(f"after build {number}: {used} bytes, more than {options.cap} and a tenth")
        if len(failures) > 20:
            break
    fsck = subprocess.run([garboard, "debug", "fsck"], env=env, capture_output=True, text=True)
    if fsck.returncode != 0 or "problem" in fsck.stdout.lower().replace("no problem", ""):
        failures.append(f"fsck: {fsck.stdout}{fsck.stderr}")
    print("\n".join(failures[:20]))
    print(f"{number} builds, {killed} of them killed, {len(failures)} failures, at most {largest / 1e6:.0f} MB, fsck: {fsck.stdout.strip()}")
    shutil.rmtree(place, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
