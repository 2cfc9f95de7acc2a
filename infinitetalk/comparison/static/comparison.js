// Two linked players: one clock, one scrubber, side by side or one over the other.
const [first, second] = ['first', 'second'].map((id) => document.getElementById(id));
const stage = document.getElementById('stage'), scrub = document.getElementById('scrub'), time = document.getElementById('time');
const play = document.getElementById('play'), layout = document.getElementById('layout'), sound = document.getElementById('sound');
const length = () => Math.min(first.duration || 0, second.duration || 0);
const follow = () => {
  // The second film keeps to the first one's time; a twentieth of a second is below what the eye tells apart here.
  if (Math.abs(second.currentTime - first.currentTime) > 0.05) second.currentTime = first.currentTime;
  scrub.value = length() ? first.currentTime / length() : 0;
  time.value = `${first.currentTime.toFixed(2)} s of ${length().toFixed(2)} s`;
  if (first.currentTime >= length() && length()) pause();
  if (!first.paused) requestAnimationFrame(follow);
};
const pause = () => { first.pause(); second.pause(); play.textContent = 'Play'; };
const start = async () => {
  if (first.currentTime >= length() - 0.05) first.currentTime = second.currentTime = 0;
  await Promise.all([first.play(), second.play()]);
  play.textContent = 'Pause';
  follow();
};
const at = (seconds) => { pause(); first.currentTime = second.currentTime = Math.min(length(), Math.max(0, seconds)); setTimeout(follow, 60); };
play.onclick = () => (first.paused ? start() : pause());
scrub.oninput = () => at(scrub.value * length());
sound.onclick = () => {
  first.muted = !first.muted; second.muted = !first.muted;
  sound.textContent = `Sound: ${first.muted ? second.title : first.title}`;
};
layout.onclick = () => {
  const wipe = stage.classList.toggle('wipe');
  stage.classList.toggle('side', !wipe);
  layout.setAttribute('aria-pressed', wipe);
};
stage.onpointermove = (event) => {
  const box = stage.getBoundingClientRect();
  if (stage.classList.contains('wipe')) stage.style.setProperty('--at', `${100 * (event.clientX - box.left) / box.width}%`);
};
document.onkeydown = (event) => {
  const step = { ArrowLeft: -0.04, ArrowRight: 0.04 }[event.key];
  if (step && event.target !== scrub) at(first.currentTime + step * (event.shiftKey ? 25 : 1));
  else if (event.key === ' ' && event.target.tagName !== 'BUTTON') play.click();
  else return;
  event.preventDefault();
};
first.onloadedmetadata = second.onloadedmetadata = follow;
second.muted = true;
