# names: gcc gcc:12
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev make && rm -rf /var/lib/apt/lists/*
