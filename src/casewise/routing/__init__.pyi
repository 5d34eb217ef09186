from .router import Router as Router
