# bases: debian
FROM app
RUN test "$(docker-entrypoint.sh id -un)" = nobody && echo '{"a":1}' | jq .a && test -z "$(ls /var/cache/apt/archives/*.deb 2>/dev/null)"
