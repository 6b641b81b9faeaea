# names: eclipse-temurin:17 eclipse-temurin:17-jdk openjdk:17
# bases: debian
FROM debian
RUN apt-get update && apt-get install -y --no-install-recommends openjdk-17-jdk-headless binutils && rm -rf /var/lib/apt/lists/*
ENV JAVA_HOME=/usr/lib/jvm/java-17-openjdk-amd64
CMD ["jshell"]
