# names: node node:18 node:18-slim node:lts
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends nodejs npm && rm -rf /var/lib/apt/lists/*
RUN groupadd -g 1000 node && useradd -u 1000 -g node -s /bin/bash -m node
CMD ["node"]
