# bases: python
# sites: pypi
FROM app
RUN python -c 'import app; assert app.app.test_client().get("/").text == "it works"' && gunicorn --check-config app:app && test "$(id -un)" = web
