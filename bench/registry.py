"""A registry on loopback for the benchmarks, and the base image in it."""
import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time

OCI = "application/vnd.oci.image."
BUSYBOX = ("/bin/busybox", "/usr/bin/busybox")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Missing(Exception):
    """Something the machine does not have; the message says what to install."""


class Registry:
    """Debian's docker-registry, with its files under one folder, on a free port."""

    def __init__(self, folder):
        binary = shutil.which("docker-registry")
        if binary is None:
            raise Missing("docker-registry is not here: apt-get install docker-registry")
        os.makedirs(folder)
        self.folder, self.port = folder, free_port()
        self.host = f"127.0.0.1:{self.port}"
        config = os.path.join(folder, "config.yml")
        with open(config, "w", encoding="utf-8") as out:
            out.write(f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "{self.host}"}}
""")
        log = open(os.path.join(folder, "log"), "wb")
        self.process = subprocess.Popen([binary, "serve", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.wait()

    def wait(self):
        for _ in range(100):
            with contextlib.suppress(OSError):
                if self.call("GET", "/v2/")[0] == 200:
                    return
            time.sleep(0.05)
        raise Missing(f"docker-registry did not answer on {self.host}")

    def call(self, method, path, body=None, headers=None):
        """One request; returns its status and its Location."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request(method, path, body=body, headers=headers or {})
            answer = link.getresponse()
            answer.read()
            return answer.status, answer.headers.get("Location")
        finally:
            link.close()

    def put_blob(self, repository, data):
        """Uploads bytes; returns what a descriptor says of them."""
        return self.upload(repository, data, hashlib.sha256(data).hexdigest(), len(data))

    def put_file(self, repository, path):
        """Uploads a file, of which no more than a piece is held at a time."""
        with open(path, "rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            size = source.tell()
            source.seek(0)
            return self.upload(repository, source, digest, size)

    def upload(self, repository, body, digest, size):
        digest = f"sha256:{digest}"
        _, where = self.call("POST", f"/v2/{repository}/blobs/uploads/", b"")
        where = where.split(self.host, 1)[-1]
        mark = "&" if "?" in where else "?"
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        status, _ = self.call("PUT", f"{where}{mark}digest={digest}", body, headers)
        if status != 201:
            raise Missing(f"the registry refused a blob of the base image: status {status}")
        return {"digest": digest, "size": size}

    def push_base(self):
        """Pushes the base image of all scenarios and returns its reference."""
        tar = base_tar()
        layer = self.put_blob("base", gzip.compress(tar, 6, mtime=0))
        return self.push_image("base", layer, hashlib.sha256(tar).hexdigest())

    def push_image(self, repository, layer, diff_id):
        """Pushes an image of one gzip layer that is there, and returns its reference."""
        config = self.put_blob(repository, json.dumps({
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
            "os": "linux",
            "config": {"Env": [f"PATH={PATH}"], "Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{diff_id}"]},
            "history": [{"created": "2020-09-13T12:26:40Z", "created_by": "base"}],  # buildah insists
        }).encode())
        manifest = json.dumps({
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": {"mediaType": OCI + "config.v1+json", **config},
            "layers": [{"mediaType": OCI + "layer.v1.tar+gzip", **layer}],
        }).encode()
        media_type = {"Content-Type": OCI + "manifest.v1+json"}
        status, _ = self.call("PUT", f"/v2/{repository}/manifests/latest", manifest, media_type)
        if status != 201:
            raise Missing(f"the registry refused the base image: status {status}")
        return f"{self.host}/{repository}:latest"

    @contextlib.contextmanager
    def apart(self):
        """Gives the registry a core of its own, which those who talk to it don't get, as if it were another machine. Where
        there is one core only, they share it."""
        cores = sorted(os.sched_getaffinity(0))
        own = {cores[-1]}

        def pin(mine):
            for thread in os.listdir(f"/proc/{self.process.pid}/task"):
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setaffinity(int(thread), mine)

        pin(own)
        os.sched_setaffinity(0, set(cores) - own or own)  # what is started from here on has the same
        try:
            yield
        finally:
            os.sched_setaffinity(0, cores)
            pin(cores)

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def base_tar():
    """The tar of a root file system that is busybox and nothing else."""
    binary = next((b for b in BUSYBOX if os.path.exists(b)), None)
    if binary is None:
        raise Missing("busybox is not here: apt-get install busybox-static")
    applets = subprocess.run([binary, "--list"], check=True, capture_output=True, text=True).stdout.split()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        def add(name, kind=tarfile.REGTYPE, mode=0o755, data=b"", link=""):
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.size, info.linkname, info.mtime = kind, mode, len(data), link, 1_600_000_000
            tar.addfile(info, io.BytesIO(data))

        for folder in ("bin", "dev", "etc", "proc", "root", "sys"):
            add(folder, tarfile.DIRTYPE)
        add("tmp", tarfile.DIRTYPE, 0o1777)
        with open(binary, "rb") as f:
            add("bin/busybox", data=f.read())
        for applet in sorted(set(applets) - {"busybox"}):
            add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        add("etc/passwd", mode=0o644, data=b"root:x:0:0:root:/root:/bin/sh\n")
        add("etc/group", mode=0o644, data=b"root:x:0:\n")
    return out.getvalue()
