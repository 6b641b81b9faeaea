# bases: debian
FROM app
RUN test "$(docker-entrypoint.sh id -un)" = nobody && echo '{"a":1}' | jq .a && ! ls /var/cache/apt/archives/jq*.deb
