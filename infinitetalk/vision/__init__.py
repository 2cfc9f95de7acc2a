"""Pictures that steer a film: skeletons and camera paths read from films, edited, drawn, and compared with the result.

Arrays are numpy; nothing here knows the networks. `pose*` deals with skeletons, `camera*` with the camera.
"""
