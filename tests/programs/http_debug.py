"""http.client's debug output, switched on for all connections, shows the program's requests and no others."""
# $ python PROGRAM
# $ env TRACERUN_EXPORTER=file,otlp OTEL_EXPORTER_OTLP_ENDPOINT=$WEB TRACERUN python PROGRAM
# mask: header: Date: .*|(traceparent: [-\w]+\\r\\n)?\\r\\n'|127.0.0.1:\d+
# spans: 2

import http.client
import os
import time

import requests

http.client.HTTPConnection.debuglevel = 1
print(requests.get(os.environ["WEB"]).text)
time.sleep(1.5)
print(requests.get(os.environ["WEB"]).text)
