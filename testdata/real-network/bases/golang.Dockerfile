# names: golang golang:1.19 golang:1.19-bookworm
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends golang-go git && rm -rf /var/lib/apt/lists/*
ENV GOPATH=/go PATH=/go/bin:$PATH
RUN mkdir -p /go/src /go/bin && chmod -R 1777 /go
WORKDIR /go
