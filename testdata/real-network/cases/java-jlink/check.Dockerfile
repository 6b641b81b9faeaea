# bases: java
FROM app
RUN test "$(java -Xmx64m -jar /app/app.jar a b)" = "hello a b"
