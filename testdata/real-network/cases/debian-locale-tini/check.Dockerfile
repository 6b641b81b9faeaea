# bases: debian
# buildah: tini -- true
FROM app
RUN [[ "$(tini -s -- date -d 2024-01-01 +%A)" == Montag ]] && [[ -z "${DEBIAN_FRONTEND:-}" ]]
