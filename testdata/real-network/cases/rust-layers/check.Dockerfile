# bases: rust
# buildah: app
FROM app
RUN test "$(app)" = 42 && test "$(id -u)" = 10001
