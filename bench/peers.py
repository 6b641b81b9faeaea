"""What is measured: builders, which build a folder's Dockerfile and push the image, and programs that only pull."""
import os
import shutil
import subprocess
import time

from registry import Missing


class Failed(Exception):
    """A builder's command did not succeed; the message has the end of what it printed."""


class Cost:
    """What one build cost: seconds from start to end, and the largest resident size of one process in bytes."""

    def __init__(self, seconds=0.0, peak=0):
        self.seconds, self.peak = seconds, peak

    def __add__(self, other):
        return Cost(self.seconds + other.seconds, max(self.peak, other.peak))


def run(argv, env=None, log=None):
    """Runs one command and returns its cost. Everything it prints goes to the file `log`."""
    with open(log, "ab") as out:
        start = time.monotonic()
        child = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        # wait4 gives the peak of this child and of the processes it waited for, and of nothing else.
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        with open(log, errors="replace") as f:
            end = "".join(f.readlines()[-15:])
        raise Failed(f"`{' '.join(argv)}` ended with {child.returncode}:\n{end}")
    return Cost(seconds, usage.ru_maxrss * 1024)


def unmount_below(folder):
    """Takes away what a builder left mounted in its folder, so that the folder can be removed."""
    with open("/proc/mounts", encoding="utf-8") as f:
        points = [line.split()[1] for line in f]
    for point in reversed([p for p in points if p.startswith(folder + "/")]):
        subprocess.run(["umount", point], check=False)


class Garboard:
    """The program of this repository."""

    name = "garboard"

    def __init__(self, work, binary):
        if not os.access(binary, os.X_OK):
            raise Missing(f"{binary} is not there: cargo build --release")
        self.binary, self.root, self.log = binary, os.path.join(work, "root"), os.path.join(work, "log")
        os.makedirs(work)
        self.env = {"GARBOARD_ROOT": self.root, "GARBOARD_CONFIG": self.config(work)}

    @staticmethod
    def config(work):
        """An empty configuration, so that the machine's own changes nothing."""
        path = os.path.join(work, "garboard.toml")
        with open(path, "w", encoding="utf-8"):
            return path

    def about(self):
        return "garboard, its defaults"

    def build(self, context, reference, push=True):
        argv = [self.binary, "build", "--progress=plain", "-t", reference]
        return run(argv + (["--push"] if push else []) + [context], self.env, self.log)

    def compose(self, folder):
        """All services of the compose file in a folder."""
        argv = [self.binary, "compose", "--project-directory", folder, "build"]
        return run(argv, self.env, self.log)

    def pull(self, reference, folder):
        """A store of its own, and a build of one step that does nothing: the image is there as steps see it."""
        context, root = os.path.join(folder, "context"), os.path.join(folder, "root")
        os.makedirs(context)
        with open(os.path.join(context, "Dockerfile"), "w", encoding="utf-8") as out:
            out.write(f'FROM {reference}\nRUN ["/bin/true"]\n')
        argv = [self.binary, "build", "--progress=plain", "--output=type=cacheonly", context]
        return run(argv, {**self.env, "GARBOARD_ROOT": root}, self.log)

    def close(self):
        # Files that a step made may belong to ids that only root can remove; here we are whoever made them.
        shutil.rmtree(self.root, ignore_errors=True)


class Buildah:
    """buildah with `--layers`, in the fastest of the set-ups that work on this machine."""

    name = "buildah"
    SETUPS = [("overlay", "oci"), ("overlay", "chroot"), ("vfs", "chroot")]

    def __init__(self, work, probe):
        self.binary = shutil.which("buildah")
        if self.binary is None:
            raise Missing("buildah is not here: apt-get install buildah")
        os.makedirs(work)
        self.work, self.log = work, os.path.join(work, "log")
        self.setup = self.fastest(probe)

    def fastest(self, probe):
        """Builds `probe` once warm in every set-up; the first run of each also fetches the base."""
        found, problems = {}, []
        for setup in self.SETUPS:
            self.setup = setup
            try:
                probe(self)
                found[setup] = probe(self).seconds
            except Failed as problem:
                problems.append(str(problem).strip().rsplit("\n", 1)[-1])
        if not found:
            raise Missing("buildah can't build here: " + "; ".join(problems))
        return min(found, key=found.get)

    def about(self):
        return f"buildah --layers, storage {self.setup[0]}, isolation {self.setup[1]}"

    def common(self):
        store = os.path.join(self.work, self.setup[0])
        return [self.binary, "--storage-driver", self.setup[0], "--root", f"{store}/root", "--runroot", f"{store}/run"]

    def build(self, context, reference, push=True):
        cost = run(self.common() + ["build", "--layers", "--isolation", self.setup[1], "--network", "host",
                                    "--tls-verify=false", "-t", reference, context], log=self.log)
        if push:
            cost += run(self.common() + ["push", "--tls-verify=false", reference], log=self.log)
        return cost

    def pull(self, reference, folder):
        return pull_with(self.binary, self.setup[0], reference, folder, self.log)

    def close(self):
        for setup in self.SETUPS:
            self.setup = setup
            if os.path.isdir(os.path.join(self.work, setup[0])):
                try:
                    run(self.common() + ["rmi", "--all", "--force"], log=self.log)
                except Failed:
                    pass  # the folders go with the work folder
        unmount_below(self.work)


def pull_with(binary, driver, reference, folder, log):
    """`buildah pull` or `podman pull` into a store of its own, which unpacks the layers."""
    store = ["--storage-driver", driver, "--root", f"{folder}/root", "--runroot", f"{folder}/run"]
    return run([binary, *store, "pull", "--tls-verify=false", reference], log=log)


class Podman:
    """podman, which only pulls here."""

    name = "podman"

    def __init__(self, work):
        self.binary = shutil.which("podman")
        if self.binary is None:
            raise Missing("podman is not here: apt-get install podman")
        os.makedirs(work)
        self.log = os.path.join(work, "log")

    def about(self):
        return "podman pull, storage overlay"

    def pull(self, reference, folder):
        return pull_with(self.binary, "overlay", reference, folder, self.log)

    def close(self):
        """Each pull has a folder of its own, which is gone by now."""


class Umoci:
    """skopeo, which copies to a layout, and umoci, which unpacks that."""

    name = "umoci"

    def __init__(self, work):
        self.skopeo, self.umoci = shutil.which("skopeo"), shutil.which("umoci")
        if self.skopeo is None or self.umoci is None:
            raise Missing("skopeo or umoci is not here: apt-get install skopeo umoci")
        os.makedirs(work)
        self.log = os.path.join(work, "log")

    def about(self):
        return "skopeo copy to a layout, then umoci unpack"

    def pull(self, reference, folder):
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        copy = [self.skopeo, "--insecure-policy", "copy", "--src-tls-verify=false", f"docker://{reference}"]
        cost = run(copy + [f"oci:{folder}/layout:image"], log=self.log)
        unpack = [self.umoci, "unpack", *rootless, "--image", f"{folder}/layout:image", f"{folder}/bundle"]
        return cost + run(unpack, log=self.log)

    def close(self):
        """Each pull has a folder of its own, which is gone by now."""


class Docker:
    """docker.io: its own dockerd with an empty data folder, and the BuildKit inside it."""

    name = "docker"

    def __init__(self, work):
        daemon, self.binary = shutil.which("dockerd"), shutil.which("docker")
        if daemon is None or self.binary is None:
            raise Missing("dockerd is not here: apt-get install docker.io")
        if os.geteuid() != 0:
            raise Missing("dockerd needs root")
        os.makedirs(work)
        self.work, self.log = work, os.path.join(work, "log")
        self.env = {"DOCKER_HOST": f"unix://{work}/sock", "DOCKER_BUILDKIT": "1", "DOCKER_CONFIG": f"{work}/config"}
        os.makedirs(f"{work}/config")
        with open(os.path.join(work, "daemon.log"), "wb") as log:
            self.process = subprocess.Popen(
                [daemon, "--host", self.env["DOCKER_HOST"], "--data-root", f"{work}/data", "--exec-root", f"{work}/exec",
                 "--pidfile", f"{work}/pid", "--iptables=false", "--ip6tables=false", "--bridge=none"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait()

    def wait(self):
        for _ in range(150):
            if self.process.poll() is not None:
                break
            try:
                run([self.binary, "info"], self.env, self.log)
                return
            except Failed:
                time.sleep(0.2)
        self.close()
        with open(os.path.join(self.work, "daemon.log"), errors="replace") as f:
            lines = f.read().strip().split("\n")
        raise Missing("dockerd does not start here: " + lines[-1])

    def about(self):
        return "docker build (the daemon's BuildKit), dockerd with --bridge=none"

    def build(self, context, reference, push=True):
        with open(f"/proc/{self.process.pid}/clear_refs", "w", encoding="utf-8") as f:
            f.write("5")  # forget the peak of earlier builds
        cost = run([self.binary, "build", "--network", "host", "-t", reference, context], self.env, self.log)
        if push:
            cost += run([self.binary, "push", reference], self.env, self.log)
        return cost + Cost(peak=self.peak())

    def peak(self):
        """The daemon's own peak: the work is done there, not in the client."""
        with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as f:
            lines = dict(line.split(":", 1) for line in f)
        return int(lines["VmHWM"].split()[0]) * 1024

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        unmount_below(self.work)
