# bases: golang
# args: --build-arg VERSION=1.2.3
# buildah: /server -check
FROM app
RUN ["/server", "-check"]
