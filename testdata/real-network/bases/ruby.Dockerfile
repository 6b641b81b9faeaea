# names: ruby ruby:3.1
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends ruby ruby-dev bundler && rm -rf /var/lib/apt/lists/*
CMD ["irb"]
