"""What aster-connector-python does with one request, for tests: written from research/aster.md section 3, not copied.

Parameters go in the query, also of a POST; the timestamp is of this machine's clock; errors and their faults (KeyError on
JSON without a code) are the library's. Where that uses requests, this has its classes by name over http.client.
"""

import hashlib
import hmac
import json
import logging
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlencode, urlsplit

log = logging.getLogger(__name__)
wire_log = logging.getLogger("urllib3.connectionpool")


class ClientError(Exception):
    def __init__(self, status_code, error_code, error_message, header):
        self.status_code, self.error_code = status_code, error_code
        self.error_message, self.header = error_message, header


class ServerError(Exception):
    def __init__(self, status_code, message):
        self.status_code, self.message = status_code, message


class ConnectionError(OSError):  # noqa: A001 - the name it has in requests
    pass


class ReadTimeout(OSError):
    pass


class TooManyRedirects(OSError):
    pass


class MaxRetryError(Exception):
    def __init__(self, url, reason):
        super().__init__(f"Max retries exceeded with url: {url} (Caused by {reason!r})")
        self.reason = reason


class NewConnectionError(Exception):
    pass


class Session:
    def __init__(self):
        self.max_redirects, self.closed = 30, False

    def close(self):
        self.closed = True


class Client:
    made = []

    def __init__(
        self, key=None, secret=None, base_url="https://fapi.asterdex.com", timeout=None, proxies=None,
        show_limit_usage=False, show_header=False,
    ):  # fmt: skip
        self.key, self.secret, self.base_url, self.timeout = key, secret, base_url, timeout
        self.show_limit_usage, self.show_header = show_limit_usage, show_header
        self.session = Session()
        Client.made.append(self)

    def sign_request(self, http_method, url_path, payload=None):
        payload = {} if payload is None else payload
        payload["timestamp"] = int(time.time() * 1000)
        text = urlencode(payload)
        payload["signature"] = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return self._send(http_method, url_path, payload)

    def _send(self, http_method, url_path, payload):
        url = f"{self.base_url}{url_path}?{urlencode(payload)}"
        log.debug("url: %s", self.base_url + url_path)
        headers = {"Content-Type": "application/json;charset=utf-8", "X-MBX-APIKEY": self.key}
        status, headers, text = self._opened(http_method, url, headers)
        wire_log.debug('"%s %s HTTP/1.1" %s', http_method, url, status)
        log.debug("raw response from server:%s", text)
        if 400 <= status < 500:
            try:
                error = json.loads(text)
            except json.JSONDecodeError:
                raise ClientError(status, None, text, headers) from None
            raise ClientError(status, error["code"], error["msg"], headers)
        if status >= 500:
            raise ServerError(status, text)
        try:
            data = json.loads(text)
        except ValueError:
            data = text
        shown = {}
        if self.show_limit_usage:
            shown["limit_usage"] = {
                name.lower(): value for name, value in headers.items() if name.lower().startswith("x-mbx-used-weight")
            }
        if self.show_header:
            shown["header"] = headers
        return {**shown, "data": data} if shown else data

    def _opened(self, method, url, headers, followed=0):
        """Return status, headers and text. requests takes a pair of timeouts, and follows what leads elsewhere."""
        connect, read = self.timeout if isinstance(self.timeout, tuple) else (self.timeout, self.timeout)
        parts = urlsplit(url)
        connection = HTTPConnection(parts.hostname, parts.port, timeout=connect)
        try:
            try:
                connection.connect()
            except OSError as error:
                raise ConnectionError(MaxRetryError(url, NewConnectionError(str(error)))) from error
            connection.sock.settimeout(read)
            connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
            response = connection.getresponse()
            status, found, text = response.status, dict(response.headers), response.read().decode()
        except TimeoutError as slow:
            raise ReadTimeout(f"Read timed out: {url}") from slow
        except (HTTPException, OSError) as error:
            if isinstance(error, ConnectionError):
                raise
            raise ConnectionError("Connection aborted.", url, error) from error
        finally:
            connection.close()
        if 300 <= status < 400 and "Location" in found:
            if followed >= self.session.max_redirects:
                raise TooManyRedirects(f"Exceeded {followed} redirects.")
            return self._opened(method, found["Location"], headers, followed + 1)
        return status, found, text
