# bases: gcc
# buildah: /hello
FROM app
RUN ["/hello"]
