"""fileConfig works as plain."""
# $ python PROGRAM
# mask: 127.0.0.1:\d+
# spans: 2

import logging
import logging.config
import os

import requests

with open("logging.ini", "w") as file:
    file.write(
        "[loggers]\nkeys=root,app\n[handlers]\nkeys=h\n[formatters]\nkeys=f\n"
        "[logger_root]\nlevel=DEBUG\nhandlers=h\n[logger_app]\nlevel=INFO\nhandlers=h\nqualname=app\npropagate=0\n"
        "[handler_h]\nclass=StreamHandler\nformatter=f\nargs=(sys.stdout,)\n[formatter_f]\nformat=%(name)s %(message)s\n"
    )
requests.get(os.environ["WEB"])
logging.config.fileConfig("logging.ini", disable_existing_loggers=False)
logging.getLogger("app").info("info")
logging.getLogger("other").debug("debug")
requests.get(os.environ["WEB"])
