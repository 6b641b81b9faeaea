# names: python python:3.11 python:3.11-slim python:3-slim
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends python3 python3-venv python3-pip && rm -rf /var/lib/apt/lists/*
RUN ln -s python3 /usr/bin/python && rm /usr/lib/python3.11/EXTERNALLY-MANAGED
ENV PYTHONDONTWRITEBYTECODE=1
CMD ["python3"]
