# names: php php:8.2 php:8.2-cli
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends php-cli php-mbstring && rm -rf /var/lib/apt/lists/*
ENTRYPOINT []
CMD ["php", "-a"]
