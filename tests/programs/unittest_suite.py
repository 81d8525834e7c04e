"""A unittest run has the same output as plain, ResourceWarnings included."""
# $ python PROGRAM => 1
# $ python -m unittest PROGRAM => 1
# $ python -m unittest -v -b unittest_suite => 1
# $ python -X dev -m unittest unittest_suite => 1
# spans: 5
# mask: 127.0.0.1:\d+|port=\d+|fd=\d+|raddr=.*

import os
import unittest

import requests


class Tests(unittest.TestCase):
    def test_call(self):
        self.assertEqual(requests.get(os.environ["WEB"]).status_code, 200)

    def test_fails(self):
        self.assertEqual(requests.get(os.environ["WEB"]).status_code, 201)

    def test_left_open(self):
        requests.Session().get(os.environ["WEB"])

    def test_logs(self):
        with self.assertNoLogs("app"):
            requests.get(os.environ["WEB"])

    def test_warns(self):
        with self.assertWarns(Warning):
            requests.get(os.environ["WEB"], auth=(1, 2))

    @unittest.expectedFailure
    def test_expected(self):
        self.fail()


if __name__ == "__main__":
    unittest.main()
