# bases: nginx
FROM app
RUN --network=none nginx -t && nginx && curl -sf --retry 20 --retry-connrefused http://127.0.0.1:8081/ | grep 'it works'
