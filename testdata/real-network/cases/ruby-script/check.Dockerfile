# bases: ruby
FROM app
RUN test "$(./your-daemon-or-script.rb)" = hello
