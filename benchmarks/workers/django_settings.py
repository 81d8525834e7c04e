"""A Django project in one file: settings, and the one route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.http import HttpResponse
from django.urls import path

if TYPE_CHECKING:
    from django.http import HttpRequest

SECRET_KEY = "bench"  # noqa: S105 - protects nothing
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = __name__
MIDDLEWARE: list[str] = ["django.middleware.common.CommonMiddleware"]
USE_TZ = True


def hello(request: HttpRequest) -> HttpResponse:
    """What is asked for."""
    return HttpResponse("hello")


urlpatterns = [path("hello", hello)]
