# bases: node nginx
# sites: npm
FROM app
RUN --network=none nginx -t && nginx && curl -sf --retry 20 --retry-connrefused http://127.0.0.1:8080/some/page | grep '<h1' && test ! -e /app
