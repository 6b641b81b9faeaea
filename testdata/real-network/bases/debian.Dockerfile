# names: debian debian:bookworm debian:bookworm-slim debian:12-slim
FROM upstream-debian
ENV DEBIAN_FRONTEND=noninteractive
RUN --mount=type=secret,id=certificates \
    apt-get update && apt-get install -y --no-install-recommends ca-certificates \
 && if [ -f /run/secrets/certificates ]; then \
      cp /run/secrets/certificates /usr/local/share/ca-certificates/machine.crt && update-ca-certificates; fi \
 && rm -rf /var/lib/apt/lists/*
ENV DEBIAN_FRONTEND= \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]
