# bases: rust
FROM app
RUN test "$(/bin/server)" = 42
