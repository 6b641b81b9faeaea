# bases: python
# sites: pypi
# buildah: show
FROM app
RUN test "$(show)" = "{'a': [1, 2]}" && test ! -e /wheels
