# bases: golang
# args: --platform linux/amd64,linux/arm64
FROM app
RUN ["/app"]
