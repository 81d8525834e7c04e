"""Console scripts of installed packages run as plain."""
# $ flask --version
# $ python -m flask --app PROGRAM routes
# $ flask --app PROGRAM routes
# $ gunicorn --check-config console_script:app
# $ django-admin --version
# $ django-admin nosuch => 1
# $ uvicorn --version
# $ pip --version
# $ httpx --help
# $ python -m json.tool --help
# $ python -m this
# $ python -m timeit -n 1 -r 1 nosuchname => 1
# $ python -m compileall -q PROGRAM
# $ python -m venv --help

from flask import Flask

app = Flask(__name__)


@app.get("/orders/<int:number>")
def order(number):
    """One order."""
    return str(number)
