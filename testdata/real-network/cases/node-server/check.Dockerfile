# bases: node
# sites: npm
FROM app
RUN --network=none test "$(id -un)" = node && (node server.js & i=0; until node healthcheck.js; do i=$((i+1)); [ $i -lt 50 ] || exit 1; sleep 0.2; done)
