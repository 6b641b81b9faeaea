# bases: debian
FROM app
RUN --network=none (docker-entrypoint.sh --bind 127.0.0.1 &) ; i=0; until redis-cli set a b; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.2; done; test "$(redis-cli get a)" = b
