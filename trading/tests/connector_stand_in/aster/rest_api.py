"""What aster-connector-python does with one request, for tests: written from research/aster.md section 3, not copied.

Parameters go in the query, also of a POST; the timestamp is of this machine's clock; errors and their faults (KeyError on
JSON without a code) are the library's. Where that uses requests, this has its classes by name over urllib.
"""

import hashlib
import hmac
import json
import logging
import time
import urllib.error
import urllib.request
from urllib.parse import urlencode

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


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, session):
        self.session = session

    def redirect_request(self, *given):
        if self.session.max_redirects == 0:
            raise TooManyRedirects("Exceeded 0 redirects.")
        return super().redirect_request(*given)


class Client:
    made = []

    def __init__(
        self, key=None, secret=None, base_url="https://fapi.asterdex.com", timeout=None, proxies=None,
        show_limit_usage=False, show_header=False,
    ):  # fmt: skip
        self.key, self.secret, self.base_url, self.timeout = key, secret, base_url, timeout
        self.show_limit_usage, self.show_header = show_limit_usage, show_header
        self.session = Session()
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Redirects(self.session))
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
        request = urllib.request.Request(url, method=http_method, headers=headers)
        status, headers, text = self._opened(request, url)
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

    def _opened(self, request, url):
        """Return status, headers and text. requests takes a pair of timeouts; urllib knows one."""
        seconds = self.timeout[1] if isinstance(self.timeout, tuple) else self.timeout
        try:
            with self._opener.open(request, timeout=seconds) as response:
                return response.status, dict(response.headers), response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read().decode()
        except TimeoutError as slow:
            raise ReadTimeout(f"Read timed out: {url}") from slow
        except urllib.error.URLError as error:
            if isinstance(error.reason, TooManyRedirects):
                raise error.reason from None
            if isinstance(error.reason, ConnectionRefusedError):
                raise ConnectionError(MaxRetryError(url, NewConnectionError(str(error.reason)))) from error
            raise ConnectionError(str(error.reason), url) from error
        except (OSError, ValueError) as error:
            if isinstance(error, TooManyRedirects):
                raise
            raise ConnectionError("Connection aborted.", url, error) from error
