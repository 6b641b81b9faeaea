# bases: php
FROM app
RUN test "$(php public/index.php)" = "GRÜSSE 64M" && test "$(id -u)" = 33
